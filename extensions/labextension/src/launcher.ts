import { type JupyterFrontEnd, type JupyterFrontEndPlugin } from '@jupyterlab/application';
import { ICommandPalette } from '@jupyterlab/apputils';
import { ILauncher } from '@jupyterlab/launcher';
import { ITranslator, nullTranslator, type TranslationBundle } from '@jupyterlab/translation';

import { CommandIDs, IMachines } from './commands';
import { type Machines } from './machines/model';

/** The machines in the launcher and in the command palette. */
export const launcherPlugin: JupyterFrontEndPlugin<void> = {
  id: 'machineroom:launcher',
  description: 'Machines in the launcher and in the command palette.',
  autoStart: true,
  requires: [IMachines],
  optional: [ILauncher, ICommandPalette, ITranslator],
  activate: (
    _app: JupyterFrontEnd,
    machines: Machines,
    launcher: ILauncher | null,
    palette: ICommandPalette | null,
    translator: ITranslator | null
  ) => {
    const trans = (translator ?? nullTranslator).load('machineroom');
    // JupyterLab's start does not wait for the list: the cards come when it is there.
    machines
      .refresh()
      .then(() => {
        offerAll(machines, launcher, palette, trans);
      })
      .catch((error: unknown) => {
        console.error('The machines of this workspace could not be listed.', error);
      });
  }
};

function offerAll(
  { list }: Machines,
  launcher: ILauncher | null,
  palette: ICommandPalette | null,
  trans: TranslationBundle
): void {
  const category = trans.__('Machines');
  let rank = 0;
  const offer = (command: string, args: { machine: string; port?: number }) => {
    launcher?.add({ command, args, category, categoryRank: -1, rank: rank++ });
  };
  for (const machine of list) {
    offer(CommandIDs.openTerminal, { machine: machine.id });
  }
  for (const machine of list) {
    for (const port of machine.ports) {
      offer(CommandIDs.openPage, { machine: machine.id, port });
    }
  }
  for (const machine of list) {
    offer(CommandIDs.reset, { machine: machine.id });
  }
  const { openTerminal, openConsole, start, stop, suspend, resume, save, reset } = CommandIDs;
  for (const machine of list) {
    const args = { machine: machine.id };
    for (const command of [openTerminal, openConsole, start, stop, suspend, resume, save, reset]) {
      palette?.addItem({ command, args, category });
    }
    for (const port of machine.ports) {
      palette?.addItem({ command: CommandIDs.openPage, args: { ...args, port }, category });
    }
  }
}
