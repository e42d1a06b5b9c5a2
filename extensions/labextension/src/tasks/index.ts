import {
  ILabShell,
  ILayoutRestorer,
  type JupyterFrontEnd,
  type JupyterFrontEndPlugin
} from '@jupyterlab/application';
import { Dialog, showDialog, showErrorMessage } from '@jupyterlab/apputils';
import { type DocumentRegistry, DocumentWidget } from '@jupyterlab/docregistry';
import { ITranslator, nullTranslator, type TranslationBundle } from '@jupyterlab/translation';
import { type Widget } from '@lumino/widgets';

import { reason } from '../api';
import { IMachines } from '../commands';
import { type Machines } from '../machines/model';
import { type IPlace, Tasks } from './model';
import { TasksPanel } from './panel';

/** The Tasks panel in the right sidebar; it follows the notebook that one works in. */
export const tasksPlugin: JupyterFrontEndPlugin<void> = {
  id: 'machineroom:tasks-panel',
  description: 'A panel with the tasks of an assignment, their lights, hints, and Submit.',
  autoStart: true,
  requires: [IMachines],
  optional: [ILabShell, ILayoutRestorer, ITranslator],
  activate: (
    app,
    machines: Machines,
    shell: ILabShell | null,
    restorer: ILayoutRestorer | null,
    translator: ITranslator | null
  ) => {
    const trans = (translator ?? nullTranslator).load('machineroom');
    const model = new Tasks(machines.api, trans);
    const follow = (widget: Widget | null) => {
      const place = placeOf(widget, model);
      if (place && panel.isVisible) {
        void model.choose(place);
      }
    };
    const opened = () => {
      void model.load().then(() => {
        follow(app.shell.currentWidget);
      });
    };
    const submit = () => void submitPlace(app, model, trans);
    const panel = new TasksPanel(model, opened, submit, trans);
    restorer?.add(panel, panel.id);
    app.shell.add(panel, 'right', { rank: 11 });
    shell?.currentChanged.connect((_, { newValue }) => {
      follow(newValue);
    });
  }
};

/** What a widget shows of the file browser's, if it shows a document. */
function documentOf(widget: Widget | null): DocumentRegistry.Context | null {
  return widget instanceof DocumentWidget ? (widget.context as DocumentRegistry.Context) : null;
}

/** The assignment whose folder a document lies in: `course/assignment/…`. */
function placeOf(widget: Widget | null, model: Tasks): IPlace | null {
  const parts = documentOf(widget)?.path.split('/') ?? [];
  for (const [course, found] of model.assignments) {
    const below = parts.slice(parts.indexOf(course) + 1);
    const assignment = parts.includes(course) && found.find(({ name }) => below.includes(name));
    if (assignment) {
      return { course, assignment: assignment.name };
    }
  }
  return null;
}

/** Ask, save what is not saved, and hand in. */
async function submitPlace(
  app: JupyterFrontEnd,
  model: Tasks,
  trans: TranslationBundle
): Promise<void> {
  const { place, assignment } = model;
  if (!place || !assignment) {
    return;
  }
  const answer = await showDialog({
    title: trans.__('Submit %1?', assignment.title),
    body: trans.__(
      'Your notebooks are saved and handed in, and your machines as they are now. You can submit again; the last one counts.'
    ),
    buttons: [Dialog.cancelButton(), Dialog.okButton({ label: trans.__('Submit') })]
  });
  if (!answer.button.accept) {
    return;
  }
  try {
    for (const widget of app.shell.widgets('main')) {
      const mine = placeOf(widget, model);
      const here = mine?.course === place.course && mine.assignment === place.assignment;
      if (here) {
        await documentOf(widget)?.save();
      }
    }
  } catch (error) {
    await showErrorMessage(trans.__('Not submitted: a notebook cannot be saved'), reason(error));
    return;
  }
  await model.submit(place);
}
