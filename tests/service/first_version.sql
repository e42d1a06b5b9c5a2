BEGIN TRANSACTION;
CREATE TABLE alembic_version (
	version_num VARCHAR(32) NOT NULL, 
	CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num)
);
INSERT INTO "alembic_version" VALUES('0001');
CREATE TABLE audit (
	id INTEGER NOT NULL, 
	time DATETIME NOT NULL, 
	actor VARCHAR(255) NOT NULL, 
	action VARCHAR(40) NOT NULL, 
	course VARCHAR(40) NOT NULL, 
	subject VARCHAR(1000) NOT NULL, 
	address VARCHAR(64) NOT NULL, 
	detail JSON NOT NULL, 
	PRIMARY KEY (id)
);
INSERT INTO "audit" VALUES(1,'2026-01-01 12:00:00.000000','ada','submit','demo','first','127.0.0.1','{}');
CREATE TABLE feedback (
	submission VARCHAR(16) NOT NULL, 
	sha256 VARCHAR(64) NOT NULL, 
	size INTEGER NOT NULL, 
	time DATETIME NOT NULL, 
	"by" VARCHAR(255) NOT NULL, 
	PRIMARY KEY (submission), 
	FOREIGN KEY(submission) REFERENCES submissions (id)
);
INSERT INTO "feedback" VALUES('0123456789abcdef','dddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddd',10,'2026-01-03 12:00:00.000000','ina');
CREATE TABLE releases (
	course VARCHAR(40) NOT NULL, 
	assignment VARCHAR(60) NOT NULL, 
	sha256 VARCHAR(64) NOT NULL, 
	size INTEGER NOT NULL, 
	time DATETIME NOT NULL, 
	"by" VARCHAR(255) NOT NULL, 
	PRIMARY KEY (course, assignment)
);
INSERT INTO "releases" VALUES('demo','first','aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa',10,'2026-01-01 09:00:00.000000','ina');
CREATE TABLE submissions (
	id VARCHAR(16) NOT NULL, 
	course VARCHAR(40) NOT NULL, 
	assignment VARCHAR(60) NOT NULL, 
	student VARCHAR(255) NOT NULL, 
	timestamp DATETIME NOT NULL, 
	due DATETIME, 
	sha256 VARCHAR(64) NOT NULL, 
	size INTEGER NOT NULL, 
	problem VARCHAR(2000), 
	PRIMARY KEY (id)
);
INSERT INTO "submissions" VALUES('0123456789abcdef','demo','first','ada','2026-01-01 12:00:00.000000','2026-01-02 12:00:00.000000','bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb',10,NULL);
CREATE TABLE verdicts (
	id INTEGER NOT NULL, 
	submission VARCHAR(16), 
	course VARCHAR(40) NOT NULL, 
	assignment VARCHAR(60) NOT NULL, 
	task VARCHAR(255) NOT NULL, 
	student VARCHAR(255) NOT NULL, 
	time DATETIME NOT NULL, 
	points DOUBLE NOT NULL, 
	earned DOUBLE NOT NULL, 
	checks VARCHAR(64) NOT NULL, 
	report JSON NOT NULL, 
	"by" VARCHAR(255) NOT NULL, 
	PRIMARY KEY (id), 
	FOREIGN KEY(submission) REFERENCES submissions (id)
);
INSERT INTO "verdicts" VALUES(1,'0123456789abcdef','demo','first','notes','ada','2026-01-01 12:00:00.000000',2.0,1.0,'cccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccc','{"course": "demo", "assignment": "first", "task": "notes", "title": "Notes", "points": 2.0, "earned": 1.0, "time": "2026-01-01T12:00:00.000000Z", "machine": "box", "checks": []}','ada');
CREATE INDEX ix_submissions_whose ON submissions (course, assignment, student, timestamp);
CREATE INDEX ix_verdicts_submission ON verdicts (submission);
CREATE INDEX ix_verdicts_whose ON verdicts (course, assignment, student, time);
CREATE INDEX ix_audit_course ON audit (course, id);
CREATE TRIGGER audit_no_update BEFORE UPDATE ON audit BEGIN SELECT RAISE(ABORT, 'the audit trail only grows'); END;
CREATE TRIGGER audit_no_delete BEFORE DELETE ON audit BEGIN SELECT RAISE(ABORT, 'the audit trail only grows'); END;
COMMIT;
