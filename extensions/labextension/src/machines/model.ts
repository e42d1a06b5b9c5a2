import { Notification } from '@jupyterlab/apputils';
import { type TranslationBundle } from '@jupyterlab/translation';
import { VDomModel } from '@jupyterlab/ui-components';

import {
  type Action,
  type Api,
  type IAssignment,
  type ILab,
  type IMachine,
  type ISnapshot,
  type Progress,
  reason
} from '../api';

/** One moment of a machine that runs, for the plots. */
export interface ISample {
  time: number;
  cpuSeconds: number;
  /** Share of the CPUs that it may use; null at the first look. */
  cpu: number | null;
  memory: number;
}

const SAMPLES = 60;

/** The user's machines as they were seen last, and what is being done to them. */
export class Machines extends VDomModel {
  constructor(
    readonly api: Api,
    private readonly trans: TranslationBundle
  ) {
    super();
  }

  list: IMachine[] = [];
  /** Why the machines cannot be listed, when they cannot. */
  problem = '';
  readonly samples = new Map<string, ISample[]>();
  /** By machine: what is done to it at the moment. */
  readonly busy = new Map<string, string>();
  readonly snapshots = new Map<string, ISnapshot[]>();
  /** By course. */
  readonly labs = new Map<string, ILab[]>();
  readonly assignments = new Map<string, IAssignment[]>();

  get(id: string | undefined): IMachine | undefined {
    return this.list.find(machine => machine.id === id);
  }

  /** Look at all machines, and at what their courses say of them. */
  async look(): Promise<void> {
    await this.refresh();
    await this.describe();
    this.stateChanged.emit();
  }

  /** Look at all machines. */
  async refresh(): Promise<void> {
    try {
      this.list = await this.api.machines();
      this.problem = '';
      this.list.forEach(machine => {
        this.sample(machine);
      });
    } catch (error) {
      this.problem = reason(error);
      throw error;
    } finally {
      this.stateChanged.emit();
    }
  }

  /** Look at the deadlines anew. */
  forgetAssignments(): void {
    this.assignments.clear();
  }

  async loadSnapshots(machine: IMachine): Promise<void> {
    this.snapshots.set(machine.id, await this.api.snapshots(machine));
    this.stateChanged.emit();
  }

  act(machine: IMachine, action: Action, words: string, done: string): Promise<boolean> {
    return this.watch(machine, words, done, step => this.api.act(machine, action, step));
  }

  async save(machine: IMachine, name: string): Promise<boolean> {
    const { trans } = this;
    const saved = await this.watch(
      machine,
      trans.__('Saving %1.', machine.title),
      trans.__('%1 is saved as “%2”.', machine.title, name),
      step => this.api.takeSnapshot(machine, name, step)
    );
    if (saved) {
      await this.loadSnapshots(machine);
    }
    return saved;
  }

  restore(machine: IMachine, name: string): Promise<boolean> {
    const { trans } = this;
    return this.watch(
      machine,
      trans.__('Bringing %1 back to “%2”.', machine.title, name),
      trans.__('%1 is as it was when “%2” was saved.', machine.title, name),
      step => this.api.restore(machine, name, step)
    );
  }

  async deleteSnapshot(machine: IMachine, name: string): Promise<void> {
    await this.api.deleteSnapshot(machine, name);
    await this.loadSnapshots(machine);
  }

  /** Do something that takes a while, with a notification that tells how it goes; whether it was done. */
  private async watch(
    machine: IMachine,
    words: string,
    done: string,
    work: (progress: Progress) => Promise<void>
  ): Promise<boolean> {
    const id = Notification.emit(words, 'in-progress', { autoClose: false });
    this.busy.set(machine.id, words);
    this.stateChanged.emit();
    try {
      await work(step => {
        const message = `${words} ${step}`;
        this.busy.set(machine.id, message);
        this.stateChanged.emit();
        Notification.update({ id, message, type: 'in-progress', autoClose: false });
      });
      Notification.update({ id, message: done, type: 'success', autoClose: 5000 });
      return true;
    } catch (error) {
      const message = `${words} ${reason(error)}`;
      Notification.update({ id, message, type: 'error', autoClose: false });
      return false;
    } finally {
      this.busy.delete(machine.id);
      await this.refresh().catch(() => undefined); // the panel says what is wrong
    }
  }

  /** What the courses say of their labs and deadlines; asked once each. */
  private async describe(): Promise<void> {
    for (const course of new Set(this.list.map(machine => machine.course))) {
      if (!this.labs.has(course)) {
        this.labs.set(course, await this.api.labs(course));
      }
      if (!this.assignments.has(course)) {
        this.assignments.set(course, await this.api.assignments(course));
      }
    }
  }

  private sample({ id, usage }: IMachine): void {
    if (!usage) {
      this.samples.delete(id);
      return;
    }
    const before = this.samples.get(id) ?? [];
    const last = before.at(-1);
    const time = Date.parse(usage.time) / 1000;
    if (last && (time <= last.time || usage.cpu_seconds < last.cpuSeconds)) {
      before.length = 0; // it was started anew, or the clock set back
    }
    const cpu =
      last && before.length
        ? (usage.cpu_seconds - last.cpuSeconds) / (time - last.time) / usage.cpus
        : null;
    const now = { time, cpuSeconds: usage.cpu_seconds, cpu, memory: usage.memory };
    this.samples.set(id, [...before, now].slice(-SAMPLES));
  }
}
