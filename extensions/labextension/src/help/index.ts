import { type JupyterFrontEndPlugin } from '@jupyterlab/application';
import { Notification } from '@jupyterlab/apputils';
import { IStateDB } from '@jupyterlab/statedb';
import { ITerminalTracker } from '@jupyterlab/terminal';
import { ITranslator, nullTranslator, type TranslationBundle } from '@jupyterlab/translation';
import { Poll } from '@lumino/polling';

import { IMachines } from '../commands';
import { type Machines } from '../machines/model';
import { Help, type INews, type IVisit } from './model';
import { Notices } from './notices';
import { HelpPanel } from './panel';

/** What is new is told at once, by an event; this is for what was missed. */
const EVERY = 60_000;
const EVENT = 'https://events.machineroom/help';
const SEEN = 'machineroom:messages-seen';
/** Older ones that were not seen are in the panel. */
const MOST = 3;

/** The Help panel in the right sidebar, for students; what is new is told wherever they work. */
export const helpPlugin: JupyterFrontEndPlugin<void> = {
  id: 'machineroom:help',
  description: 'A panel to raise a hand and to read what the class is told.',
  autoStart: true,
  requires: [IMachines],
  optional: [IStateDB, ITerminalTracker, ITranslator],
  activate: (
    app,
    machines: Machines,
    state: IStateDB | null,
    tracker: ITerminalTracker | null,
    translator: ITranslator | null
  ) => {
    const trans = (translator ?? nullTranslator).load('machineroom');
    const model = new Help(machines.api);
    let panel: HelpPanel | null = null;
    model.stateChanged.connect(() => {
      if (model.courses?.length && !panel) {
        panel = new HelpPanel(model, trans);
        app.shell.add(panel, 'right', { rank: 12 });
      }
    });
    if (tracker) {
      new Notices(tracker, model, trans);
    }
    model.onVisit = visit => {
      tellVisit(visit, model, trans);
    };
    void (async () => {
      const kept = await state?.fetch(SEEN);
      let seen = typeof kept === 'string' ? kept : '';
      model.onNews = news => {
        const last = news.messages.at(-1)?.time ?? '';
        tell({ ...news, messages: news.messages.filter(({ time }) => time > seen) }, trans);
        if (last > seen) {
          seen = last;
          void state?.save(SEEN, seen);
        }
      };
      const poll: Poll = new Poll({
        name: 'machineroom:help',
        factory: async () => {
          await model.refresh();
          if (model.courses?.length === 0) {
            poll.dispose(); // whoever is no student anywhere is told nothing here
          }
        },
        frequency: { interval: EVERY, backoff: true, max: 10 * EVERY },
        standby: 'when-hidden'
      });
      app.serviceManager.events.stream.connect((_, { schema_id }) => {
        if (schema_id === EVENT && !poll.isDisposed) {
          void poll.refresh();
        }
      });
    })();
  }
};

function tell({ coming, messages }: INews, trans: TranslationBundle): void {
  if (coming) {
    Notification.success(trans.__('%1 is coming to you.', coming), { autoClose: 10_000 });
  }
  for (const { by, text } of messages.slice(-MOST)) {
    Notification.info(`${by}: ${text}`, { autoClose: false });
  }
}

/** Say that somebody looks on, or asks to type; the student decides here, or in the panel. */
function tellVisit(visit: IVisit, model: Help, trans: TranslationBundle): void {
  const { by, terminal, typing } = visit;
  if (typing === 'asked') {
    const action = (label: string, may: boolean) => ({
      label,
      callback: () => void model.decide(visit, may)
    });
    Notification.warning(trans.__('%1 asks whether to type in your terminal %2.', by, terminal), {
      autoClose: false,
      actions: [action(trans.__('Allow'), true), action(trans.__('Refuse'), false)]
    });
  } else {
    Notification.info(trans.__('%1 looks on at your terminal %2.', by, terminal), {
      autoClose: 15_000,
      actions: [{ label: trans.__('End the visit'), callback: () => void model.end(visit) }]
    });
  }
}
