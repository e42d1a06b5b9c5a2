import { type JupyterFrontEnd, type JupyterFrontEndPlugin } from '@jupyterlab/application';
import { ICommandPalette, InputDialog, Notification, showErrorMessage } from '@jupyterlab/apputils';
import { ILauncher } from '@jupyterlab/launcher';
import { ITranslator, nullTranslator, type TranslationBundle } from '@jupyterlab/translation';

import { type Action, reason } from '../api';
import { CommandIDs, IMachines } from '../commands';
import { boardIcon } from '../icons';
import { type Machines } from '../machines/model';
import { csv } from './csv';
import { askMessage, askReset, askUntil, showFailures } from './dialogs';
import { Board, type IOutcome, shown } from './model';
import { BoardPanel, type IBoardActions } from './panel';

/** The class board in the main area, for who grades a course; others never see that there is one. */
export const boardPlugin: JupyterFrontEndPlugin<void> = {
  id: 'machineroom:board',
  description: 'The class board: every student of a course in one live page.',
  autoStart: true,
  requires: [IMachines],
  optional: [ILauncher, ICommandPalette, ITranslator],
  activate: (
    app,
    machines: Machines,
    launcher: ILauncher | null,
    palette: ICommandPalette | null,
    translator: ITranslator | null
  ) => {
    const trans = (translator ?? nullTranslator).load('machineroom');
    machines.api
      .roles()
      .then(roles => {
        const courses = roles.filter(({ role }) => role !== 'student').map(({ id }) => id);
        if (courses.length) {
          offer(app, machines, courses, trans);
          const category = trans.__('Machines');
          launcher?.add({ command: CommandIDs.board, category, categoryRank: -1, rank: -1 });
          palette?.addItem({ command: CommandIDs.board, category });
        }
      })
      .catch((error: unknown) => {
        console.error('What the user is in their courses is not known.', error);
      });
  }
};

function offer(
  app: JupyterFrontEnd,
  { api }: Machines,
  courses: string[],
  trans: TranslationBundle
): void {
  let panel: BoardPanel | null = null;
  app.commands.addCommand(CommandIDs.board, {
    label: trans.__('Class board'),
    caption: trans.__('Every student of a course in one live page'),
    icon: boardIcon,
    execute: async () => {
      if (!panel || panel.isDisposed) {
        const board = new Board(api, trans);
        try {
          await board.load(courses);
        } catch (error) {
          await showErrorMessage(trans.__('No class board'), reason(error));
          return;
        }
        panel = new BoardPanel(board, actionsOf(app, board, trans), trans);
        app.shell.add(panel, 'main');
      }
      app.shell.activateById(panel.id);
    }
  });
}

function actionsOf(app: JupyterFrontEnd, board: Board, trans: TranslationBundle): IBoardActions {
  const attempt = (work: () => Promise<void>): void => {
    work().catch((error: unknown) => {
      Notification.error(reason(error), { autoClose: false });
    });
  };
  const many = (action: Action, words: string): void => {
    const students = [...board.selected];
    attempt(() =>
      watch(words, trans, progress => board.act(action, students, progress))
    );
  };
  return {
    come: (student, coming) => {
      attempt(() => board.come(student, coming));
    },
    helped: student => {
      attempt(() => board.helped(student));
    },
    visit: ({ student, terminals }) => {
      attempt(async () => {
        let [terminal] = terminals;
        if (terminals.length > 1) {
          const title = trans.__('At which terminal of %1?', student);
          const answer = await InputDialog.getItem({ title, items: terminals });
          terminal = answer.button.accept ? (answer.value ?? undefined) : undefined;
        }
        if (terminal) {
          const name = await board.visit(student, terminal);
          await app.commands.execute('terminal:create-new', { name });
        }
      });
    },
    tell: () => {
      attempt(async () => {
        const said = await askMessage(board, trans);
        if (said) {
          const names = await board.tell(said.text, said.to);
          const words = trans._n('Sent to %1 student.', 'Sent to %1 students.', names.length);
          Notification.success(words, { autoClose: 5000 });
        }
      });
    },
    start: () => {
      many('ensure', trans.__('Starting machines.'));
    },
    suspend: () => {
      many('suspend', trans.__('Suspending machines.'));
    },
    reset: () => {
      attempt(async () => {
        if (await askReset(board.selected.size, trans)) {
          many('reset', trans.__('Resetting machines.'));
        }
      });
    },
    extend: () => {
      attempt(async () => {
        const students = [...board.selected];
        const until = await askUntil(students.length, trans);
        if (until) {
          await watch(trans.__('Giving more time.'), trans, () => board.extend(students, until));
        }
      });
    },
    save: () => {
      const rows = shown(board.students.values(), board.tasks, board.view);
      const link = document.createElement('a');
      const blob = new Blob(['\ufeff', csv(rows, board.tasks)], { type: 'text/csv' });
      link.href = URL.createObjectURL(blob);
      const name = [board.course, board.assignment?.name, new Date().toLocaleDateString('sv')];
      link.download = `${name.filter(Boolean).join('-')}.csv`;
      link.click();
      URL.revokeObjectURL(link.href);
    }
  };
}

/** Do something to many, with a notification that tells how it goes, and say who was left out and why. */
async function watch(
  words: string,
  trans: TranslationBundle,
  work: (progress: (step: string) => void) => Promise<IOutcome>
): Promise<void> {
  const id = Notification.emit(words, 'in-progress', { autoClose: false });
  try {
    const outcome = await work(step => {
      const message = `${words} ${step}`;
      Notification.update({ id, message, type: 'in-progress', autoClose: false });
    });
    const { length } = outcome.failed;
    const done = trans.__('%1 Done: %2.', words, outcome.done);
    if (length === 0) {
      Notification.update({ id, message: done, type: 'success', autoClose: 5000 });
      return;
    }
    const message = `${done} ${trans._n('%1 failed.', '%1 failed.', length)}`;
    Notification.update({ id, message, type: 'error', autoClose: false });
    await showFailures(message, outcome, trans);
  } catch (error) {
    Notification.update({ id, message: `${words} ${reason(error)}`, type: 'error', autoClose: false });
  }
}
