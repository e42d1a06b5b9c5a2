import { type JupyterFrontEnd, type JupyterFrontEndPlugin } from '@jupyterlab/application';
import { Notification } from '@jupyterlab/apputils';
import { PageConfig } from '@jupyterlab/coreutils';
import { ITranslator, nullTranslator, type TranslationBundle } from '@jupyterlab/translation';
import { Poll } from '@lumino/polling';
import { Widget } from '@lumino/widgets';

import { Api } from './api';
import { span } from './words';

/** The workshop whose guest sits here. `back` and `takehome` are addresses at the hub's host. */
interface IWorkshop {
  workshop: string;
  guest: string;
  now: string;
  ends: string;
  removes: string;
  back: string;
  takehome: string;
}

const MINUTE = 60_000;
/** With so much time left, in ms, it is said aloud. */
const LATE = 15 * MINUTE;
const SAID_AT = [LATE, 5 * MINUTE, MINUTE];

/** A banner with the time left in a workshop, what happens then, the way back, and what one takes home. */
export const workshopPlugin: JupyterFrontEndPlugin<void> = {
  id: 'machineroom:workshop',
  description: 'The time left in a workshop.',
  autoStart: true,
  optional: [ITranslator],
  activate: (app: JupyterFrontEnd, translator: ITranslator | null) => {
    const trans = (translator ?? nullTranslator).load('machineroom');
    const api = new Api(app.serviceManager.serverSettings);
    const ask = () => api.json<IWorkshop | null>('machineroom/workshop');
    const start = async () => {
      const found = await ask();
      if (!found) {
        return; // no guest of a workshop: nothing is asked again
      }
      const banner = new Banner(found, trans);
      app.shell.add(banner, 'header');
      new Poll({
        // the organiser may end it earlier
        factory: async () => {
          const news = await ask();
          if (news) {
            banner.set(news);
          }
        },
        frequency: { interval: MINUTE, backoff: false },
        name: 'machineroom:workshop'
      });
    };
    start().catch((error: unknown) => {
      console.error('Whether this is a seat of a workshop could not be asked.', error);
    });
  }
};

class Banner extends Widget {
  constructor(
    private _workshop: IWorkshop,
    private readonly _trans: TranslationBundle
  ) {
    super();
    this.id = 'machineroom-workshop';
    this.addClass('mr-Workshop');
    this.node.setAttribute('role', 'region');
    this.node.setAttribute('aria-label', _trans.__('Workshop'));
    const back = this._link(_trans.__('Way back…'), _workshop.back);
    back.title = _trans.__('The address by which you come back to this seat, from any computer');
    back.target = '_blank';
    back.rel = 'noopener';
    const home = this._link(_trans.__('Take home'), _workshop.takehome);
    home.title = _trans.__('Your files and a report of your tasks, as one file');
    home.download = '';
    this._left.className = 'mr-Workshop-left';
    this.node.append(this._left, this._then, back, home);
    this.set(_workshop);
    setInterval(() => {
      this._show();
    }, 1000);
  }

  /** Follow what the service says now. */
  set(workshop: IWorkshop): void {
    this._workshop = workshop;
    this._ahead = Date.parse(workshop.now) - Date.now();
    this._show();
  }

  private _show(): void {
    const trans = this._trans;
    const left = Date.parse(this._workshop.ends) - Date.now() - this._ahead;
    const kept = new Date(this._workshop.removes).toLocaleString(undefined, {
      dateStyle: 'medium',
      timeStyle: 'short'
    });
    if (left <= 0) {
      write(this._left, trans.__('The workshop is over.'));
      write(this._then, trans.__('Your files are kept until %1, then all of it is removed.', kept));
    } else {
      const time = left < 5 * MINUTE ? clock(left) : span(left, trans);
      write(this._left, trans.__('%1 left', time));
      write(
        this._then,
        trans.__(
          'Then notebook and machine are switched off; your files are kept until %1.',
          kept
        )
      );
      const due = SAID_AT.filter(moment => left <= moment && moment < this._said);
      if (due.length > 0) {
        this._said = Math.min(...due);
        const words = trans.__('%1 left in this workshop. Take your files home in time.', span(left, trans));
        Notification.warning(words, { autoClose: 20_000 });
      }
    }
    this.toggleClass('mr-mod-late', left < LATE);
  }

  private _link(text: string, path: string): HTMLAnchorElement {
    const link = document.createElement('a');
    link.textContent = text;
    link.href = PageConfig.getOption('hubHost') + path;
    return link;
  }

  private readonly _left = document.createElement('strong');
  private readonly _then = document.createElement('span');
  /** How far the service's clock is ahead of ours, in ms. */
  private _ahead = 0;
  private _said = Infinity;
}

function write(node: HTMLElement, text: string): void {
  if (node.textContent !== text) {
    node.textContent = text;
  }
}

/** `4:05` */
function clock(milliseconds: number): string {
  const seconds = Math.ceil(milliseconds / 1000);
  return `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, '0')}`;
}
