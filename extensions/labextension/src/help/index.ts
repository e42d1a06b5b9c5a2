import { type JupyterFrontEndPlugin } from '@jupyterlab/application';
import { Notification } from '@jupyterlab/apputils';
import { IStateDB } from '@jupyterlab/statedb';
import { ITranslator, nullTranslator, type TranslationBundle } from '@jupyterlab/translation';
import { Poll } from '@lumino/polling';

import { IMachines } from '../commands';
import { type Machines } from '../machines/model';
import { Help, type INews } from './model';
import { HelpPanel } from './panel';

const EVERY = 10_000;
const SEEN = 'machineroom:messages-seen';
/** Older ones that were not seen are in the panel. */
const MOST = 3;

/** The Help panel in the right sidebar, for students; what is new is told wherever they work. */
export const helpPlugin: JupyterFrontEndPlugin<void> = {
  id: 'machineroom:help',
  description: 'A panel to raise a hand and to read what the class is told.',
  autoStart: true,
  requires: [IMachines],
  optional: [IStateDB, ITranslator],
  activate: (app, machines: Machines, state: IStateDB | null, translator: ITranslator | null) => {
    const trans = (translator ?? nullTranslator).load('machineroom');
    const model = new Help(machines.api);
    let panel: HelpPanel | null = null;
    model.stateChanged.connect(() => {
      if (model.courses?.length && !panel) {
        panel = new HelpPanel(model, trans);
        app.shell.add(panel, 'right', { rank: 12 });
      }
    });
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
