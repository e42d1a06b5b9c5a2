import { ILayoutRestorer, type JupyterFrontEndPlugin } from '@jupyterlab/application';
import { ITranslator, nullTranslator } from '@jupyterlab/translation';

import { IMachines } from '../commands';
import { type Machines } from './model';
import { MachinesPanel } from './panel';

/** The Machines panel in the right sidebar. */
export const machinesPlugin: JupyterFrontEndPlugin<void> = {
  id: 'machineroom:machines-panel',
  description: 'A panel with the state of the machines, what they use, and what can be done to them.',
  autoStart: true,
  requires: [IMachines],
  optional: [ILayoutRestorer, ITranslator],
  activate: (
    app,
    machines: Machines,
    restorer: ILayoutRestorer | null,
    translator: ITranslator | null
  ) => {
    const trans = (translator ?? nullTranslator).load('machineroom');
    const panel = new MachinesPanel(machines, app.commands, trans);
    restorer?.add(panel, panel.id);
    app.shell.add(panel, 'right', { rank: 10 });
  }
};
