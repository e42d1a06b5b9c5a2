import { type TranslationBundle } from '@jupyterlab/translation';
import { VDomModel } from '@jupyterlab/ui-components';

import {
  type Action,
  type Api,
  type IAssignment,
  type IHand,
  type Progress,
  type State,
  ofCourse,
  reason
} from '../api';

/** How one task of a student's stands. */
export interface IStanding {
  points: number;
  earned: number;
  time: string;
  /** Seconds from the pass before to this one; null when that is not known. */
  took: number | null;
}

export interface IStudent {
  student: string;
  /** Whether their workspace runs. */
  workspace: boolean;
  active: string | null;
  machines: { lab: string; machine: string; state: State }[];
  tasks: Record<string, IStanding>;
  submitted: string | null;
  extension: string | null;
  hand: IHand | null;
  /** Those that are open on machines of the course. */
  terminals: string[];
  /** Who looks on at them. */
  visits: { by: string; terminal: string; typing: boolean }[];
}

export interface ITaskColumn {
  task: string;
  title: string;
  points: number;
}

/** For how many students a check was run and fails. */
export interface ICheckTally {
  task: string;
  check: string;
  title: string;
  failed: number;
  of: number;
}

interface IAnswer {
  cursor: string;
  whole: boolean;
  students: IStudent[];
  tasks?: ITaskColumn[];
  checks?: ICheckTally[];
  problem?: string;
}

/** How something that was done to many ended. */
export interface IOutcome {
  done: number;
  failed: { student: string; machine?: string; problem: string }[];
}

/** Whom a message is for. */
export type To = 'all' | string[] | { assignment: string; task: string; check?: string };

export type Show = 'all' | 'hands' | 'away' | 'unfinished';
export type Sort = 'student' | 'active' | 'passed';

/** Who is asked about, and how it is shown. */
export interface IView {
  text: string;
  show: Show;
  sort: Sort;
  descending: boolean;
}

/** One course as its graders see it. */
export class Board extends VDomModel {
  constructor(
    readonly api: Api,
    readonly trans: TranslationBundle
  ) {
    super();
  }

  /** What there is to choose from, by course. */
  readonly assignments = new Map<string, IAssignment[]>();
  course = '';
  assignment: IAssignment | null = null;
  students = new Map<string, IStudent>();
  tasks: ITaskColumn[] = [];
  checks: ICheckTally[] = [];
  problem = '';
  readonly selected = new Set<string>();
  view: IView = { text: '', show: 'all', sort: 'student', descending: false };

  /** Read which courses the user grades; choose the first if none is chosen. */
  async load(courses: string[]): Promise<void> {
    for (const course of courses) {
      this.assignments.set(course, await this.api.assignments(course));
    }
    const [first] = courses;
    if (!this.course && first) {
      const [assignment] = this.assignments.get(first) ?? [];
      this.choose(first, assignment?.name ?? '');
    }
  }

  /** Show another course, or another assignment of it. */
  choose(course: string, name: string): void {
    if (course !== this.course) {
      this.selected.clear();
    }
    this.course = course;
    this.assignment = this.assignments.get(course)?.find(each => each.name === name) ?? null;
    this.students = new Map();
    this.tasks = [];
    this.checks = [];
    this.cursor = '';
    this.stateChanged.emit();
  }

  /** Take in what has changed since the last look. */
  async refresh(): Promise<void> {
    const { course, assignment } = this;
    if (!course) {
      return;
    }
    const query = new URLSearchParams({ since: this.cursor });
    if (assignment) {
      query.set('assignment', assignment.name);
    }
    try {
      const path = `${ofCourse(course)}/board?${query.toString()}`;
      const answer = await this.api.json<IAnswer>(path);
      if (course === this.course && assignment === this.assignment) {
        this.take(answer);
      }
    } catch (error) {
      this.problem = reason(error);
      this.stateChanged.emit();
      throw error;
    }
  }

  private take(answer: IAnswer): void {
    this.cursor = answer.cursor;
    const rows = answer.students.map(row => [row.student, row] as const);
    // a new map, so that who shows it knows that it has changed; the rows that have not are the same
    this.students = new Map(answer.whole ? rows : [...this.students, ...rows]);
    this.tasks = answer.tasks ?? this.tasks;
    this.checks = answer.checks ?? this.checks;
    this.problem = answer.problem ?? (answer.students.length ? '' : this.problem);
    for (const name of this.selected) {
      if (!this.students.has(name)) {
        this.selected.delete(name);
      }
    }
    this.stateChanged.emit();
  }

  show(change: Partial<IView>): void {
    this.view = { ...this.view, ...change };
    this.stateChanged.emit();
  }

  select(names: string[], on: boolean): void {
    names.forEach(name => {
      if (on) {
        this.selected.add(name);
      } else {
        this.selected.delete(name);
      }
    });
    this.stateChanged.emit();
  }

  /** Tell a student that one comes, or that one does not after all. */
  async come(student: string, coming: boolean): Promise<void> {
    await this.api.call(this.hand(student), 'PUT', { coming });
    await this.refresh();
  }

  /** A student was helped: their hand goes down. */
  async helped(student: string): Promise<void> {
    await this.api.call(this.hand(student), 'DELETE');
    await this.refresh();
  }

  /** Make a terminal of our own that shows a student's; its name. */
  async visit(student: string, terminal: string): Promise<string> {
    const body = JSON.stringify({ visit: [this.course, student, terminal] });
    return (await this.api.json<{ name: string }>('api/terminals', { method: 'POST', body })).name;
  }

  /** Tell students something; answers whom. */
  async tell(text: string, to: To): Promise<string[]> {
    const body = JSON.stringify({ text, to });
    const path = `${ofCourse(this.course)}/messages`;
    return (await this.api.json<{ to: string[] }>(path, { method: 'POST', body })).to;
  }

  /** Do something to the machines of many. */
  async act(action: Action, students: string[], progress: Progress): Promise<IOutcome> {
    const body = JSON.stringify({ students, lab: this.assignment?.lab ?? null });
    const path = `${ofCourse(this.course)}/machines/${action}`;
    try {
      return await this.api.follow<IOutcome>(path, { method: 'POST', body }, progress);
    } finally {
      await this.refresh().catch(() => undefined); // the panel says what is wrong
    }
  }

  /** Give many a deadline of their own. */
  async extend(students: string[], until: Date): Promise<IOutcome> {
    const body = JSON.stringify({ students, until: until.toISOString() });
    const name = encodeURIComponent(this.assignment?.name ?? '');
    const path = `${ofCourse(this.course)}/assignments/${name}/extensions`;
    const outcome = await this.api.json<IOutcome>(path, { method: 'POST', body });
    await this.refresh();
    return outcome;
  }

  private hand(student: string): string {
    return `${ofCourse(this.course)}/hands/${encodeURIComponent(student)}`;
  }

  private cursor = '';
}

/** How many tasks a student has passed. */
export function passed(student: IStudent): number {
  return Object.values(student.tasks).filter(({ earned, points }) => earned >= points).length;
}

/** The students that a view shows, in its order; who has a hand up comes first, in the order of the hands. */
export function shown(students: Iterable<IStudent>, tasks: ITaskColumn[], view: IView): IStudent[] {
  const text = view.text.trim().toLowerCase();
  const fits = (row: IStudent): boolean =>
    (!text || row.student.toLowerCase().includes(text)) &&
    (view.show !== 'hands' || row.hand !== null) &&
    (view.show !== 'away' || !row.workspace) &&
    (view.show !== 'unfinished' || passed(row) < tasks.length);
  const key = (row: IStudent): string | number => {
    switch (view.sort) {
      case 'student':
        return row.student;
      case 'active':
        return row.active ?? '';
      case 'passed':
        return passed(row);
    }
  };
  const sign = view.descending ? -1 : 1;
  const compare = (one: string | number, other: string | number): number =>
    one < other ? -1 : one > other ? 1 : 0;
  return [...students].filter(fits).sort(
    (one, other) =>
      // '~' comes after every date
      compare(one.hand?.since ?? '~', other.hand?.since ?? '~') ||
      sign * compare(key(one), key(other)) ||
      compare(one.student, other.student)
  );
}
