import { type JupyterFrontEnd, type JupyterFrontEndPlugin } from '@jupyterlab/application';
import { Dialog, InputDialog, showDialog, showErrorMessage } from '@jupyterlab/apputils';
import { URLExt } from '@jupyterlab/coreutils';
import { ITranslator, nullTranslator, type TranslationBundle } from '@jupyterlab/translation';
import { Token } from '@lumino/coreutils';

import { Api, type IMachine, reason } from './api';
import { consoleIcon, pageIcon, resetIcon, snapshotIcon, terminalIcon } from './icons';
import { Machines } from './machines/model';

export const CommandIDs = {
  openTerminal: 'machineroom:open-terminal',
  openConsole: 'machineroom:open-console',
  openPage: 'machineroom:open-page',
  start: 'machineroom:start',
  stop: 'machineroom:stop',
  suspend: 'machineroom:suspend',
  resume: 'machineroom:resume',
  reset: 'machineroom:reset',
  save: 'machineroom:save',
  restore: 'machineroom:restore',
  deleteSnapshot: 'machineroom:delete-snapshot',
  board: 'machineroom:board'
};

export const IMachines = new Token<Machines>(
  'machineroom:IMachines',
  'The machines of this workspace, as they were seen last.'
);

/**
 * What can be done to machines.
 *
 * A command's arguments are the machine, as `course/lab/machine`; for a page the port, for a snapshot its name.
 */
export const commandsPlugin: JupyterFrontEndPlugin<Machines> = {
  id: 'machineroom:commands',
  description: 'Commands for machines: terminals, web pages, switching, snapshots, reset.',
  autoStart: true,
  provides: IMachines,
  optional: [ITranslator],
  activate: (app, translator: ITranslator | null) => {
    const trans = (translator ?? nullTranslator).load('machineroom');
    const machines = new Machines(new Api(app.serviceManager.serverSettings), trans);
    addCommands(app, machines, trans);
    return machines;
  }
};

interface IArguments {
  machine?: unknown;
  port?: unknown;
  name?: unknown;
}

function addCommands(app: JupyterFrontEnd, machines: Machines, trans: TranslationBundle): void {
  const { commands } = app;

  /** The machine that a command's arguments name. */
  const named = (args: IArguments): IMachine => {
    const machine = machines.get(args.machine as string) ?? machines.list[0];
    if (!machine) {
      throw new Error(trans.__('None of your courses has a machine.'));
    }
    return machine;
  };
  const title = (args: IArguments): string => machines.get(args.machine as string)?.title ?? '';
  const port = (args: IArguments): number => Number(args.port ?? named(args).ports[0] ?? 80);

  const open = (console: boolean) => async (args: IArguments) => {
    try {
      const name = await machines.api.newTerminal(named(args).id, console);
      return (await commands.execute('terminal:create-new', { name })) as unknown;
    } catch (error) {
      await showErrorMessage(trans.__('No terminal'), reason(error));
      return null;
    }
  };

  commands.addCommand(CommandIDs.openTerminal, {
    label: args => trans.__('Terminal on %1', title(args)),
    caption: args => trans.__('A root shell on the machine %1', title(args)),
    icon: terminalIcon,
    execute: open(false)
  });

  commands.addCommand(CommandIDs.openConsole, {
    label: args => trans.__('Console of %1', title(args)),
    caption: args =>
      trans.__('A root shell on the machine %1 that works when its ssh or network is broken', title(args)),
    icon: consoleIcon,
    execute: open(true)
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
      window.open(
        `${URLExt.join(machines.api.settings.baseUrl, 'proxy', host)}/`,
        '_blank',
        'noopener'
      );
    }
  });

  commands.addCommand(CommandIDs.start, {
    label: args => trans.__('Start %1', title(args)),
    caption: args => trans.__('Make the machine %1 run', title(args)),
    execute: args => {
      const { title } = named(args);
      const words = trans.__('Starting %1.', title);
      return machines.act(named(args), 'ensure', words, trans.__('%1 runs.', title));
    }
  });

  commands.addCommand(CommandIDs.stop, {
    label: args => trans.__('Stop %1', title(args)),
    caption: args => trans.__('Shut the machine %1 down; its files stay', title(args)),
    execute: args => {
      const { title } = named(args);
      const words = trans.__('Stopping %1.', title);
      return machines.act(named(args), 'stop', words, trans.__('%1 is stopped.', title));
    }
  });

  commands.addCommand(CommandIDs.suspend, {
    label: args => trans.__('Suspend %1', title(args)),
    caption: args =>
      trans.__('Let the machine %1 stand still; all that runs on it goes on later', title(args)),
    execute: args => {
      const { title } = named(args);
      const words = trans.__('Suspending %1.', title);
      return machines.act(named(args), 'suspend', words, trans.__('%1 is suspended.', title));
    }
  });

  commands.addCommand(CommandIDs.resume, {
    label: args => trans.__('Resume %1', title(args)),
    caption: args => trans.__('Let the machine %1 go on', title(args)),
    icon: terminalIcon,
    execute: args => {
      const { title } = named(args);
      const words = trans.__('Resuming %1.', title);
      return machines.act(named(args), 'resume', words, trans.__('%1 goes on.', title));
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
          'Everything on %1 is lost: files, installed packages, settings, running programs. You get a clean machine. Your notebooks and files in JupyterLab stay as they are, and so do snapshots.',
          machine.title
        ),
        checkbox: {
          label: trans.__('Save it as a snapshot first'),
          checked: machine.state !== 'missing'
        },
        buttons: [
          Dialog.cancelButton({ label: trans.__('Keep it') }),
          Dialog.warnButton({ label: trans.__('Reset %1', machine.title) })
        ],
        defaultButton: 0
      });
      if (!answer.button.accept) {
        return;
      }
      if (answer.isChecked && !(await machines.save(machine, trans.__('before the reset')))) {
        return; // the notification says why; nothing is lost that was meant to be kept
      }
      await machines.act(
        machine,
        'reset',
        trans.__('Resetting %1.', machine.title),
        trans.__('%1 is a clean machine now.', machine.title)
      );
    }
  });

  addSnapshotCommands(app, machines, trans, named);
}

function addSnapshotCommands(
  app: JupyterFrontEnd,
  machines: Machines,
  trans: TranslationBundle,
  named: (args: IArguments) => IMachine
): void {
  const { commands } = app;
  const snapshot = (args: IArguments): string => args.name as string;

  commands.addCommand(CommandIDs.save, {
    label: args => trans.__('Save %1 as a snapshot…', named(args).title),
    caption: args => trans.__('Save the disk of the machine %1 under a name', named(args).title),
    icon: snapshotIcon,
    execute: async args => {
      const machine = named(args);
      const now = new Date();
      const today = now.toLocaleString('sv').slice(0, 16).replace(':', '.');
      const answer = await InputDialog.getText({
        title: trans.__('Save %1', machine.title),
        label: trans.__(
          'Name of the snapshot. Its files are saved; what runs on it is not, and goes on.'
        ),
        text: today,
        pattern: '[\\p{L}\\p{N}][\\p{L}\\p{N}_ .\\-]{0,39}',
        required: true,
        okLabel: trans.__('Save')
      });
      const name = answer.value?.trim();
      if (answer.button.accept && name) {
        await machines.save(machine, name);
      }
    }
  });

  commands.addCommand(CommandIDs.restore, {
    label: args => trans.__('Bring %1 back to “%2”…', named(args).title, snapshot(args)),
    execute: async args => {
      const machine = named(args);
      const name = snapshot(args);
      const answer = await showDialog({
        title: trans.__('Bring %1 back?', machine.title),
        body: trans.__(
          'Everything that was done on %1 since “%2” was saved is lost, and what runs on it ends.',
          machine.title,
          name
        ),
        buttons: [
          Dialog.cancelButton({ label: trans.__('Keep it') }),
          Dialog.warnButton({ label: trans.__('Bring it back') })
        ],
        defaultButton: 0
      });
      if (answer.button.accept) {
        await machines.restore(machine, name);
      }
    }
  });

  commands.addCommand(CommandIDs.deleteSnapshot, {
    label: args => trans.__('Delete the snapshot “%1”…', snapshot(args)),
    execute: async args => {
      const name = snapshot(args);
      const answer = await showDialog({
        title: trans.__('Delete “%1”?', name),
        body: trans.__('%1 cannot be brought back to it any more.', named(args).title),
        buttons: [Dialog.cancelButton(), Dialog.warnButton({ label: trans.__('Delete') })],
        defaultButton: 0
      });
      if (answer.button.accept) {
        try {
          await machines.deleteSnapshot(named(args), name);
        } catch (error) {
          await showErrorMessage(trans.__('The snapshot is still there'), reason(error));
        }
      }
    }
  });
}
