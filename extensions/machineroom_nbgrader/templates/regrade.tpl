{%- extends 'nbgrader/base.tpl' -%}

{%- block head -%}
<style>
  #said { min-height: 1.5em; }
  table:not(:has(tbody tr)) { display: none; }
  .gained { color: #256029; font-weight: bold; }
  .lost { color: #a02622; font-weight: bold; }
</style>
{%- endblock -%}

{%- block title -%}
Regrade
{%- endblock -%}

{%- block sidebar -%}
<li role="presentation" class="active"><a href="{{ base_url }}/formgrader/manage_assignments">Manage Assignments</a></li>
<li role="presentation"><a href="{{ base_url }}/formgrader/gradebook">Manual Grading</a></li>
<li role="presentation"><a href="{{ base_url }}/formgrader/manage_students">Manage Students</a></li>
{%- endblock -%}

{%- block breadcrumbs -%}
<ol class="breadcrumb">
  <li><a href="{{ base_url }}/formgrader/manage_assignments">Assignments</a></li>
  <li><a href="{{ base_url }}/formgrader/manage_submissions/{{ assignment | urlencode }}">{{ assignment | e }}</a></li>
  <li class="active">Regrade</li>
</ol>
{%- endblock -%}

{%- block messages -%}
<p>Each submission's machines are restored from their snapshots, apart from the live ones, and the checks as they are now run on them.
Nothing is written until you say so.</p>
<p>
  <button class="btn btn-primary" id="plan">See what would change</button>
  <button class="btn btn-default" id="write" disabled>Write these points</button>
  <label style="font-weight: normal; margin-left: 1em"><input type="checkbox" id="never-lower"> nobody loses points</label>
</p>
<div class="progress" id="progress" hidden><div class="progress-bar" role="progressbar" aria-label="Submissions looked at" aria-valuemin="0" aria-valuemax="100"></div></div>
<p id="said" role="status"></p>
<ul id="problems" class="text-danger"></ul>
{%- endblock -%}

{%- block table_header -%}
<tr>
  <th>Student</th>
  <th>Task</th>
  <th class="text-right">Was</th>
  <th class="text-right">Would be</th>
  <th>Why</th>
</tr>
{%- endblock -%}

{%- block script -%}
<script>
(function () {
  "use strict";
  const assignment = {{ assignment | tojson }}, course = {{ course | tojson }};
  const at = (id) => document.getElementById(id);
  const bar = at("progress").firstElementChild;
  let plan = null;

  const post = (path, body) => fetch(base_url + path, {
    method: "POST",
    headers: { "Content-Type": "application/json", "X-XSRFToken": getCookie("_xsrf") },
    body: JSON.stringify(body),
  });
  const many = (number, one, more) => number + " " + (number === 1 ? one : more);
  const points = (p) => (p ? +p.earned.toFixed(2) + "/" + p.points : "–");
  const share = (p) => (p && p.points ? p.earned / p.points : 0);
  const differs = (row) => JSON.stringify(row.before) !== JSON.stringify(row.after);

  function say(sentence, kind) {
    at("said").textContent = sentence;
    at("said").className = kind || "";
  }

  function cell(row, text, kind) {
    const made = row.insertCell();
    made.textContent = text;
    made.className = kind || "";
  }

  function show(problems) {
    at("problems").replaceChildren(...problems.map((sentence) => {
      const item = document.createElement("li");
      item.textContent = sentence;
      return item;
    }));
  }

  function render() {
    const changes = plan.rows.filter(differs);
    at("main-table").replaceChildren();
    for (const change of changes) {
      const row = at("main-table").insertRow();
      const gained = share(change.after) - share(change.before);
      cell(row, change.student);
      cell(row, change.task);
      cell(row, points(change.before), "text-right");
      cell(row, points(change.after), "text-right " + (gained > 0 ? "gained" : gained < 0 ? "lost" : ""));
      cell(row, change.why.join("; "));
    }
    show(plan.problems.map((p) => p.student + ": " + p.problem + "; their points stay"));
    const of = (rows) => new Set(rows.map((row) => row.submission)).size;
    const same = many(plan.same, "submission", "submissions") + " up to date before.";
    say(!plan.rows.length ? "Nothing to look at again: " + same : many(of(plan.rows), "submission", "submissions") + " looked at again, " +
      many(of(changes), "changes", "change") + ", " + same);
    at("write").disabled = false;
    at("write").textContent = changes.length ? "Write these points" : "Bring what counts into the gradebook";
  }

  async function* lines(reply) {
    const reader = reply.body.pipeThrough(new TextDecoderStream()).getReader();
    let text = "";
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      text += value;
      const whole = text.split("\n");
      text = whole.pop();
      for (const line of whole) if (line) yield JSON.parse(line);
    }
  }

  async function see() {
    const reply = await post(
      "/machineroom/courses/" + encodeURIComponent(course) + "/assignments/" + encodeURIComponent(assignment) + "/regrade", {});
    if (!reply.ok) throw new Error((await reply.json()).message);
    plan = null;
    for await (const line of lines(reply)) {
      if (line.error) throw new Error(line.error);
      if (line.done) plan = line.done;
      if (line.message) {
        bar.style.width = line.percent + "%";
        bar.setAttribute("aria-valuenow", line.percent);
        say(line.message);
      }
    }
    if (!plan) throw new Error("The connection ended before the plan was there. Nothing was written; try again.");
    render();
  }

  async function write() {
    const how = at("never-lower").checked ? "never_lower" : "";
    const id = plan.rows.length ? plan.id : "";
    plan = null;
    const reply = await post("/formgrader/api/assignment/" + encodeURIComponent(assignment) + "/regrade", { plan: id, how: how });
    const answer = await reply.json();
    if (!answer.success) throw new Error(answer.value || answer.message);
    at("main-table").replaceChildren();
    show(answer.problems);
    say(many(answer.done.length, "grade", "grades") + " in the gradebook " + (answer.done.length === 1 ? "is" : "are") +
      " as the checks say now. Generate and release feedback again, so that students see it.", "text-success");
  }

  async function run(work) {
    at("plan").disabled = at("write").disabled = true;
    at("progress").hidden = work !== see;
    bar.style.width = "0";
    show([]);
    say(work === see ? "Asking for the machines as they were submitted …" : "Writing …");
    try {
      await work();
    } catch (error) {
      say(error.message, "text-danger");
    }
    at("progress").hidden = true;
    at("plan").disabled = false;
  }

  at("plan").addEventListener("click", () => run(see));
  at("write").addEventListener("click", () => run(write));
})();
</script>
{%- endblock -%}
