import { URLExt } from '@jupyterlab/coreutils';
import { ServerConnection } from '@jupyterlab/services';

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
  state: string | null;
}

/** What a long action tells while it runs, and at last how it ended. */
interface IStep {
  percent?: number;
  message?: string;
  done?: unknown;
  error?: string;
}

type Settings = ServerConnection.ISettings;

async function request(path: string, init: RequestInit, settings: Settings): Promise<Response> {
  const response = await ServerConnection.makeRequest(
    URLExt.join(settings.baseUrl, path),
    init,
    settings
  );
  if (!response.ok) {
    throw await ServerConnection.ResponseError.create(response);
  }
  return response;
}

/** All machines of this workspace, a course's default one first. */
export async function listMachines(settings: Settings): Promise<IMachine[]> {
  const response = await request('machineroom/machines', {}, settings);
  return ((await response.json()) as { machines: IMachine[] }).machines;
}

/** Make a terminal on a machine; returns the terminal's name. */
export async function newTerminal(machine: string, settings: Settings): Promise<string> {
  const response = await request(
    'api/terminals',
    { method: 'POST', body: JSON.stringify({ machine }) },
    settings
  );
  return ((await response.json()) as { name: string }).name;
}

/** Do something to a machine; `progress` is told each step. Rejects with what went wrong. */
export async function act(
  machine: IMachine,
  action: 'reset' | 'resume',
  settings: Settings,
  progress: (message: string) => void
): Promise<void> {
  const path = URLExt.join(
    'machineroom/machines',
    ...[machine.course, machine.lab, machine.machine, action].map(encodeURIComponent)
  );
  const response = await request(path, { method: 'POST' }, settings);
  for await (const line of lines(response)) {
    const step = JSON.parse(line) as IStep;
    if (step.error !== undefined) {
      throw new Error(step.error);
    }
    if (step.done !== undefined) {
      return;
    }
    progress(`${step.percent ?? 0} % ${step.message ?? ''}`);
  }
  throw new Error('The Machineroom service broke off. Try again.');
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
