import { VDomModel } from '@jupyterlab/ui-components';

import { type Api, type IHand, type IRole, ofCourse, reason } from '../api';

/** Something that a grader told. */
export interface IMessage {
  id: number;
  time: string;
  by: string;
  text: string;
}

/** What a course's graders and the user have to do with each other. */
export interface IHelp {
  hand: IHand | null;
  messages: IMessage[];
}

/** What there is to tell the user at once. */
export interface INews {
  course: IRole;
  coming?: string;
  messages: IMessage[];
}

/** The user's own hands and messages, by course; those of the courses in which they are a student. */
export class Help extends VDomModel {
  constructor(readonly api: Api) {
    super();
  }

  /** null until it is known. */
  courses: IRole[] | null = null;
  readonly help = new Map<string, IHelp>();
  problem = '';
  /** Told of what is new since the last look. */
  onNews: (news: INews) => void = () => undefined;

  async refresh(): Promise<void> {
    try {
      this.courses ??= (await this.api.roles()).filter(({ role }) => role === 'student');
      for (const course of this.courses) {
        this.take(course, await this.api.json<IHelp>(`${ofCourse(course.id)}/help`));
      }
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
