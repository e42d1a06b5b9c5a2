import { type TranslationBundle } from '@jupyterlab/translation';
import { VDomModel } from '@jupyterlab/ui-components';

import { type Api, type IAssignment, ofCourse, reason } from '../api';

/** A task as its check files describe it. */
export interface ITask {
  task: string;
  title: string;
  points: number;
  hints: string[];
}

export type Outcome = 'passed' | 'failed' | 'error' | 'timeout';

/** The verdict of one task. */
export interface IReport {
  task: string;
  points: number;
  earned: number;
  time: string;
  checks: {
    name: string;
    title: string;
    points: number;
    earned: number;
    outcome: Outcome;
    observed: string;
  }[];
}

/** What the service gives for a submission. */
export interface IReceipt {
  id: string;
  timestamp: string;
  late: number;
  sha256: string;
  problem: string | null;
  checks: IReport[] | null;
  machines?: { machine: string }[];
  missing?: string[];
  signature?: string | null;
}

/** Where one is: an assignment of a course. */
export interface IPlace {
  course: string;
  assignment: string;
}

/** The tasks of one assignment, and what is known of each. */
export class Tasks extends VDomModel {
  constructor(
    readonly api: Api,
    private readonly trans: TranslationBundle
  ) {
    super();
  }

  /** Everything there is to choose from, by course. */
  readonly assignments = new Map<string, IAssignment[]>();
  place: IPlace | null = null;
  tasks: ITask[] = [];
  readonly reports = new Map<string, IReport>();
  /** By task: how many of its hints are shown. */
  readonly hints = new Map<string, number>();
  receipt: IReceipt | null = null;
  /** What is being done, in words. */
  busy = '';
  problem = '';

  get assignment(): IAssignment | undefined {
    const { place } = this;
    return place
      ? this.assignments.get(place.course)?.find(each => each.name === place.assignment)
      : undefined;
  }

  /** Read what there is to choose from; choose the first if nothing is chosen. */
  async load(): Promise<void> {
    let courses: string[] = [];
    await this.attempt('', async () => {
      courses = await this.api.courses();
      for (const course of courses) {
        this.assignments.set(course, await this.api.assignments(course));
      }
    });
    const first = courses.find(course => this.assignments.get(course)?.length);
    const assignment = first && this.assignments.get(first)?.[0];
    if (!this.place && first && assignment) {
      await this.choose({ course: first, assignment: assignment.name });
    }
  }

  /** Show another assignment: its tasks with the last known verdicts, at once. */
  async choose(place: IPlace): Promise<void> {
    if (place.course === this.place?.course && place.assignment === this.place.assignment) {
      return;
    }
    this.place = place;
    this.tasks = [];
    this.reports.clear();
    this.receipt = null;
    await this.attempt('', async () => {
      const query = `assignment=${encodeURIComponent(place.assignment)}`;
      const base = ofCourse(place.course);
      const tasks = await this.api.json<ITask[]>(`${base}/tasks?${query}`);
      const known =
        this.assignment?.checks === 'hidden'
          ? []
          : await this.api.json<IReport[]>(`${base}/verdicts?${query}`);
      const receipts = await this.receipts(place);
      if (this.place === place) {
        this.tasks = tasks;
        this.take(known);
        this.receipt = receipts.at(-1) ?? null;
      }
    });
    await this.refresh().catch(() => undefined); // what was known last is shown
  }

  /** Have the lights looked at in the background, if the course wants that. */
  async refresh(): Promise<void> {
    const { place, busy } = this;
    if (!place || busy || this.assignment?.checks !== 'live' || this.tasks.length === 0) {
      return;
    }
    const query = `assignment=${encodeURIComponent(place.assignment)}`;
    const path = `${ofCourse(place.course)}/verdicts?${query}`;
    const reports = await this.api.json<IReport[]>(path, { method: 'POST' });
    if (this.place === place) {
      this.take(reports);
      this.stateChanged.emit();
    }
  }

  /** Check one task, or all. */
  async check(task?: string): Promise<void> {
    const { place, trans } = this;
    if (!place) {
      return;
    }
    await this.attempt(task ? trans.__('Checking…') : trans.__('Checking all…'), async () => {
      const body = JSON.stringify({ assignment: place.assignment, ...(task ? { task } : {}) });
      const path = `${ofCourse(place.course)}/checks`;
      const said = await this.api.json<IReport | IReport[]>(path, { method: 'POST', body });
      if (this.place === place) {
        this.take(Array.isArray(said) ? said : [said]);
      }
    });
  }

  /** Hand the assignment in as it lies in the workspace, and the machines as they are. */
  async submit(place: IPlace): Promise<void> {
    await this.attempt(this.trans.__('Submitting. Your machines are saved and checked…'), async () => {
      const body = JSON.stringify({
        course_id: place.course,
        assignment_id: place.assignment
      });
      const said = await this.api.json<{ success: boolean; value: unknown }>('assignments/submit', {
        method: 'POST',
        body
      });
      if (!said.success) {
        throw new Error(String(said.value));
      }
      this.receipt = (await this.receipts(place)).at(-1) ?? null;
      this.take(this.receipt?.checks ?? []);
    });
  }

  /** Show one more hint of a task. */
  hint(task: string): void {
    this.hints.set(task, (this.hints.get(task) ?? 0) + 1);
    this.stateChanged.emit();
  }

  private receipts({ course, assignment }: IPlace): Promise<IReceipt[]> {
    const name = encodeURIComponent(assignment);
    return this.api.json(`${ofCourse(course)}/assignments/${name}/submissions?latest=true`);
  }

  private take(reports: IReport[]): void {
    for (const report of reports) {
      this.reports.set(report.task, report);
    }
  }

  private async attempt(words: string, work: () => Promise<void>): Promise<void> {
    this.busy = words;
    this.problem = '';
    this.stateChanged.emit();
    try {
      await work();
    } catch (error) {
      this.problem = reason(error);
    } finally {
      this.busy = '';
      this.stateChanged.emit();
    }
  }
}
