import { type JupyterFrontEnd, type JupyterFrontEndPlugin } from '@jupyterlab/application';
import {
  Dialog,
  ICommandPalette,
  Notification,
  showDialog,
  showErrorMessage
} from '@jupyterlab/apputils';
import { URLExt } from '@jupyterlab/coreutils';
import { ILauncher } from '@jupyterlab/launcher';
import { ITranslator, nullTranslator } from '@jupyterlab/translation';

import { pageIcon, resetIcon, terminalIcon } from './icons';
import { act, type IMachine, listMachines, newTerminal } from './machines';

const CommandIDs = {
  openTerminal: 'machineroom:open-terminal',
  openPage: 'machineroom:open-page',
  reset: 'machineroom:reset',
  resume: 'machineroom:resume'
};

/**
 * The student's machines in the launcher and in the command palette.
 *
 * A command's arguments are the machine, as `course/lab/machine`, and for a page the port.
 */
const plugin: JupyterFrontEndPlugin<void> = {
  id: 'machineroom:plugin',
  description: 'Terminals on machines, their web pages, and resetting them.',
  autoStart: true,
  optional: [ILauncher, ICommandPalette, ITranslator],
  activate: (
    app,
    launcher: ILauncher | null,
    palette: ICommandPalette | null,
    translator: ITranslator | null
  ) => {
    // JupyterLab's start does not wait for the list: the cards come when it is there.
    listMachines(app.serviceManager.serverSettings)
      .then(machines => {
        offerAll(app, machines, launcher, palette, translator ?? nullTranslator);
      })
      .catch((error: unknown) => {
        console.error('The machines of this workspace could not be listed.', error);
      });
  }
};

function offerAll(
  app: JupyterFrontEnd,
  machines: IMachine[],
  launcher: ILauncher | null,
  palette: ICommandPalette | null,
  translator: ITranslator
): void {
  const trans = translator.load('machineroom');
  const { commands } = app;
  const settings = app.serviceManager.serverSettings;
  const known = new Map(machines.map(machine => [machine.id, machine]));

  /** The machine that a command's arguments name. */
  const named = (args: { machine?: unknown }): IMachine => {
    const machine = known.get(args.machine as string) ?? machines[0];
    if (!machine) {
      throw new Error(trans.__('None of your courses has a machine.'));
    }
    return machine;
  };
  const title = (args: { machine?: unknown }): string =>
    known.get(args.machine as string)?.title ?? '';

  /** The port that a command's arguments name. */
  const port = (args: { machine?: unknown; port?: unknown }): number =>
    Number(args.port ?? named(args).ports[0] ?? 80);

  /** Do something that takes a while to a machine, with a notification that tells how it goes. */
  const watch = async (
    machine: IMachine,
    action: 'reset' | 'resume',
    words: string,
    done: string
  ) => {
    const id = Notification.emit(words, 'in-progress', { autoClose: false });
    try {
      await act(machine, action, settings, step => {
        Notification.update({
          id,
          message: `${words} ${step}`,
          type: 'in-progress',
          autoClose: false
        });
      });
      Notification.update({ id, message: done, type: 'success', autoClose: 5000 });
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      Notification.update({ id, message: `${words} ${reason}`, type: 'error', autoClose: false });
    }
  };

  commands.addCommand(CommandIDs.openTerminal, {
    label: args => trans.__('Terminal on %1', title(args)),
    caption: args => trans.__('A root shell on the machine %1', title(args)),
    icon: terminalIcon,
    execute: async args => {
      try {
        const name = await newTerminal(named(args).id, settings);
        return (await commands.execute('terminal:create-new', { name })) as unknown;
      } catch (error) {
        await showErrorMessage(
          trans.__('No terminal'),
          error instanceof Error ? error : String(error)
        );
        return null;
      }
    }
  });

  commands.addCommand(CommandIDs.openPage, {
    label: args =>
      named(args).ports.length > 1
        ? trans.__('Web page of %1, port %2', title(args), port(args))
        : trans.__('Web page of %1', title(args)),
    caption: args =>
      trans.__('What port %1 of the machine %2 serves, in a new tab', port(args), title(args)),
    icon: pageIcon,
    execute: args => {
      const machine = named(args);
      const host = `${machine.machine}.${machine.lab}.${machine.course}:${port(args)}`;
      window.open(`${URLExt.join(settings.baseUrl, 'proxy', host)}/`, '_blank', 'noopener');
    }
  });

  commands.addCommand(CommandIDs.reset, {
    label: args => trans.__('Reset %1…', title(args)),
    caption: args => trans.__('Replace the machine %1 by a clean one', title(args)),
    icon: resetIcon,
    execute: async args => {
      const machine = named(args);
      const answer = await showDialog({
        title: trans.__('Reset %1?', machine.title),
        body: trans.__(
          'Everything on %1 is lost: files, installed packages, settings, running programs. You get a clean machine. Your notebooks and files in JupyterLab stay as they are.',
          machine.title
        ),
        buttons: [
          Dialog.cancelButton({ label: trans.__('Keep it') }),
          Dialog.warnButton({ label: trans.__('Reset %1', machine.title) })
        ],
        defaultButton: 0
      });
      if (answer.button.accept) {
        await watch(
          machine,
          'reset',
          trans.__('Resetting %1.', machine.title),
          trans.__('%1 is a clean machine now.', machine.title)
        );
      }
    }
  });

  commands.addCommand(CommandIDs.resume, {
    label: args => trans.__('Resume %1', title(args)),
    caption: args => trans.__('Let the machine %1 go on', title(args)),
    icon: terminalIcon,
    execute: async args => {
      const machine = named(args);
      await watch(
        machine,
        'resume',
        trans.__('Resuming %1.', machine.title),
        trans.__('%1 goes on.', machine.title)
      );
    }
  });

  const category = trans.__('Machines');
  let rank = 0;
  const offer = (command: string, args: { machine: string; port?: number }) => {
    launcher?.add({ command, args, category, categoryRank: -1, rank: rank++ });
  };
  for (const machine of machines) {
    offer(CommandIDs.openTerminal, { machine: machine.id });
  }
  for (const machine of machines) {
    for (const number of machine.ports) {
      offer(CommandIDs.openPage, { machine: machine.id, port: number });
    }
  }
  for (const machine of machines) {
    offer(CommandIDs.reset, { machine: machine.id });
  }
  for (const machine of machines) {
    const args = { machine: machine.id };
    palette?.addItem({ command: CommandIDs.openTerminal, args, category });
    for (const number of machine.ports) {
      palette?.addItem({ command: CommandIDs.openPage, args: { ...args, port: number }, category });
    }
    palette?.addItem({ command: CommandIDs.reset, args, category });
    palette?.addItem({ command: CommandIDs.resume, args, category });
  }
}

export default plugin;
