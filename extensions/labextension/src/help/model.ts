import { VDomModel } from '@jupyterlab/ui-components';

import { type Api, type IHand, type IRole, ofCourse, reason } from '../api';

/** Something that a grader told. */
export interface IMessage {
  id: number;
  time: string;
  by: string;
  text: string;
}

/** Somebody who looks on at a terminal of this workspace now. */
export interface IVisit {
  id: string;
  by: string;
  course: string;
  terminal: string;
  since: string;
  typing: 'no' | 'asked' | 'allowed' | 'refused';
}

/** That somebody looked on. */
export interface IPastVisit {
  by: string;
  terminal: string;
  began: string;
  ended: string | null;
  /** Whether they were let type. */
  typed: boolean;
}

/** What a course's graders and the user have to do with each other. */
export interface IHelp {
  hand: IHand | null;
  messages: IMessage[];
  visits: IPastVisit[];
}

/** What there is to tell the user at once. */
export interface INews {
  course: IRole;
  coming?: string;
  messages: IMessage[];
}

const VISITS = 'machineroom/visits';

/** Hands, messages and visitors of the user's, in the courses in which they are a student. */
export class Help extends VDomModel {
  constructor(readonly api: Api) {
    super();
  }

  /** Who looks on now. */
  visits: IVisit[] = [];
  /** null until it is known. */
  courses: IRole[] | null = null;
  readonly help = new Map<string, IHelp>();
  problem = '';
  /** Told of what is new since the last look. */
  onNews: (news: INews) => void = () => undefined;
  /** Told of each who begins to look on, or asks to type. */
  onVisit: (visit: IVisit) => void = () => undefined;

  async refresh(): Promise<void> {
    try {
      this.courses ??= (await this.api.roles()).filter(({ role }) => role === 'student');
      for (const course of this.courses) {
        this.take(course, await this.api.json<IHelp>(`${ofCourse(course.id)}/help`));
      }
      await this.look();
      this.problem = '';
    } catch (error) {
      this.problem = reason(error);
      throw error;
    } finally {
      this.stateChanged.emit();
    }
  }

  /** Raise the hand, or say it better. */
  raise(course: string, sentence: string): Promise<void> {
    return this.change(course, 'PUT', { sentence });
  }

  lower(course: string): Promise<void> {
    return this.change(course, 'DELETE');
  }

  /** See who looks on; our own server knows. */
  async look(): Promise<void> {
    this.meet((await this.api.json<{ visits: IVisit[] }>(VISITS)).visits);
  }

  /** Say whether a visitor may type. */
  decide({ id }: IVisit, typing: boolean): Promise<void> {
    return this.have(() => this.api.call(`${VISITS}/${id}`, 'PUT', { typing }));
  }

  /** Show a visitor out. */
  end({ id }: IVisit): Promise<void> {
    return this.have(() => this.api.call(`${VISITS}/${id}`, 'DELETE'));
  }

  private async have(done: () => Promise<void>): Promise<void> {
    try {
      await done();
    } catch (error) {
      this.problem = reason(error);
    }
    await this.look();
    this.stateChanged.emit();
  }

  private meet(visits: IVisit[]): void {
    const before = new Map(this.visits.map(visit => [visit.id, visit.typing]));
    this.visits = visits;
    for (const visit of visits) {
      const known = before.get(visit.id);
      if (known === undefined || (visit.typing === 'asked' && known !== 'asked')) {
        this.onVisit(visit);
      }
    }
  }

  private async change(course: string, method: string, body?: unknown): Promise<void> {
    try {
      await this.api.call(`${ofCourse(course)}/hand`, method, body);
    } catch (error) {
      this.problem = reason(error);
      this.stateChanged.emit();
      return;
    }
    await this.refresh().catch(() => undefined); // the panel says what is wrong
  }

  private take(course: IRole, now: IHelp): void {
    const before = this.help.get(course.id);
    this.help.set(course.id, now);
    const coming = now.hand?.coming;
    const last = before?.messages.at(-1)?.time ?? '';
    this.onNews({
      course,
      ...(coming && coming !== before?.hand?.coming ? { coming } : {}),
      messages: now.messages.filter(({ time }) => time > last)
    });
  }
}
