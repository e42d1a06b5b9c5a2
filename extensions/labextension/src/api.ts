import { URLExt } from '@jupyterlab/coreutils';
import { ServerConnection } from '@jupyterlab/services';

/** What a machine that runs uses, and how much it may; memory in bytes, times in ISO 8601. */
export interface IUsage {
  time: string;
  started: string;
  cpu_seconds: number;
  cpus: number;
  memory: number;
  memory_limit: number;
  processes: number;
  process_limit: number;
  /** TCP ports on which it listens for others than itself, ssh's left out. */
  ports: number[];
}

/** A machine of this workspace, as our server extension describes it. */
export interface IMachine {
  /** `course/lab/machine` */
  id: string;
  course: string;
  lab: string;
  machine: string;
  /** How people call it. */
  title: string;
  /** Ports on which the lab says there will be web pages. */
  ports: number[];
  default: boolean;
  /** null when the service did not say. */
  state: State | null;
  address: string;
  /** null unless it runs. */
  usage: IUsage | null;
}

export type State = 'missing' | 'creating' | 'running' | 'suspended' | 'stopped' | 'broken';

export interface ISnapshot {
  name: string;
  created: string;
  /** In bytes, beyond the machine's image. */
  size: number;
}

/** A lab as its course describes it. */
export interface ILab {
  lab: string;
  default: string;
  /** Which machines each network joins; none are named where one network joins them all. */
  networks: Record<string, string[]>;
  machines: { machine: string; image: string; memory: number; cpus: number; pids: number }[];
}

/** An assignment as it stands for the user. */
export interface IAssignment {
  name: string;
  title: string;
  lab: string | null;
  due: string | null;
  /** The user's own deadline, where they have one. */
  extension: string | null;
  /** The late policy in words. */
  late: string;
  submitted: string | null;
  /** When verdicts are shown: in the background, when they are asked for, or not before the grade. */
  checks: 'live' | 'asked' | 'hidden';
}

/** What the user is in a course. */
export interface IRole {
  id: string;
  title: string;
  role: 'student' | 'ta' | 'instructor';
}

/** A hand that is up. */
export interface IHand {
  sentence: string;
  since: string;
  /** Who has said that they come. */
  coming: string | null;
}

/** What a long action tells while it runs, and at last how it ended. */
interface IStep {
  percent?: number;
  message?: string;
  done?: unknown;
  error?: string;
}

export type Action = 'ensure' | 'reset' | 'suspend' | 'resume' | 'stop';

/** The Machineroom service and this workspace's server, as the panels need them. */
export class Api {
  constructor(readonly settings: ServerConnection.ISettings) {}

  /** All machines of this workspace, a lab's default one first. */
  async machines(): Promise<IMachine[]> {
    return (await this.json<{ machines: IMachine[] }>('machineroom/machines')).machines;
  }

  /** The ids of the user's courses. */
  async courses(): Promise<string[]> {
    return (await this.json<{ value: string[] }>('courses')).value;
  }

  /** The courses in which the user has a role. */
  async roles(): Promise<IRole[]> {
    return (await this.json<{ courses: IRole[] }>('machineroom/me')).courses;
  }

  labs(course: string): Promise<ILab[]> {
    return this.json(`${ofCourse(course)}/labs`);
  }

  assignments(course: string): Promise<IAssignment[]> {
    return this.json(`${ofCourse(course)}/assignments`);
  }

  /** Make a terminal on a machine, or on its console; returns the terminal's name. */
  async newTerminal(machine: string, console: boolean): Promise<string> {
    const body = JSON.stringify({ machine, ...(console ? { console } : {}) });
    return (await this.json<{ name: string }>('api/terminals', { method: 'POST', body })).name;
  }

  snapshots(machine: IMachine): Promise<ISnapshot[]> {
    return this.json(`${ofMachine(machine)}/snapshots`);
  }

  async deleteSnapshot(machine: IMachine, name: string): Promise<void> {
    await this.call(snapshotOf(machine, name), 'DELETE');
  }

  /** Do something to a machine; `progress` is told each step. Rejects with what went wrong. */
  async act(machine: IMachine, action: Action, progress: Progress): Promise<void> {
    const path = `${ofMachine(machine)}/${action}`;
    const init = { method: 'POST' };
    try {
      await this.follow(path, init, progress);
    } catch (error) {
      if (action === 'reset' || !(error instanceof ServerConnection.NetworkError)) {
        throw error;
      }
      await this.follow(path, init, progress); // a laptop changes its network; twice is as good as once
    }
  }

  takeSnapshot(machine: IMachine, name: string, progress: Progress): Promise<void> {
    return this.follow(snapshotOf(machine, name), { method: 'PUT' }, progress);
  }

  restore(machine: IMachine, name: string, progress: Progress): Promise<void> {
    return this.follow(snapshotOf(machine, name), { method: 'POST' }, progress);
  }

  /** What a call answers. Rejects with the sentence that says why not. */
  async json<T>(path: string, init: RequestInit = {}): Promise<T> {
    return (await (await this.request(path, init)).json()) as T;
  }

  /** Do something that answers nothing of interest. */
  async call(path: string, method: string, body?: unknown): Promise<void> {
    await this.request(path, { method, ...(body === undefined ? {} : { body: JSON.stringify(body) }) });
  }

  private async request(path: string, init: RequestInit): Promise<Response> {
    const url = URLExt.join(this.settings.baseUrl, path);
    const response = await ServerConnection.makeRequest(url, init, this.settings);
    if (!response.ok) {
      throw await ServerConnection.ResponseError.create(response);
    }
    return response;
  }

  /** Follow a long action to its end; answers what is done then. */
  async follow<T>(path: string, init: RequestInit, progress: Progress): Promise<T> {
    for await (const line of lines(await this.request(path, init))) {
      const step = JSON.parse(line) as IStep;
      if (step.error !== undefined) {
        throw new Error(step.error);
      }
      if (step.done !== undefined) {
        return step.done as T;
      }
      progress(`${step.percent ?? 0} % ${step.message ?? ''}`);
    }
    throw new Error('The Machineroom service broke off. Try again.');
  }
}

export type Progress = (message: string) => void;

/** The sentence in whatever was thrown. */
export function reason(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

export function ofCourse(course: string): string {
  return `machineroom/courses/${encodeURIComponent(course)}`;
}

function ofMachine(machine: IMachine): string {
  const place = [machine.course, machine.lab, machine.machine].map(encodeURIComponent);
  return `machineroom/machines/${place.join('/')}`;
}

function snapshotOf(machine: IMachine, name: string): string {
  return `${ofMachine(machine)}/snapshots/${encodeURIComponent(name)}`;
}

async function* lines(response: Response): AsyncGenerator<string> {
  let rest = '';
  const decoder = new TextDecoder();
  const reader = response.body?.getReader();
  for (;;) {
    const chunk = await reader?.read();
    rest += decoder.decode(chunk?.value, { stream: true });
    const whole = rest.split('\n');
    rest = whole.pop() ?? '';
    yield* whole.filter(line => line.trim());
    if (!chunk || chunk.done) {
      return;
    }
  }
}
