import { type TranslationBundle } from '@jupyterlab/translation';
import { Button, HTMLSelect, VDomRenderer } from '@jupyterlab/ui-components';
import { type Message } from '@lumino/messaging';
import { Poll } from '@lumino/polling';
import React from 'react';

import { tasksIcon } from '../icons';
import { deadline } from '../words';
import { type IReceipt, type Tasks } from './model';
import { TaskItem } from './task';

const EVERY = 60_000;

/** The tasks of an assignment with their lights; looked at in the background while somebody looks. */
export class TasksPanel extends VDomRenderer<Tasks> {
  constructor(
    model: Tasks,
    private readonly opened: () => void,
    private readonly submit: () => void,
    private readonly trans: TranslationBundle
  ) {
    super(model);
    this.id = 'machineroom-tasks';
    this.addClass('mr-Panel');
    this.title.icon = tasksIcon;
    this.title.caption = trans.__('Tasks');
    this.node.setAttribute('role', 'region');
    this.node.setAttribute('aria-label', trans.__('Tasks'));
    this.poll = new Poll({
      name: 'machineroom:tasks',
      auto: false,
      factory: () => model.refresh(),
      frequency: { interval: EVERY, backoff: true, max: 10 * EVERY },
      standby: () => !this.isVisible || document.hidden
    });
  }

  dispose(): void {
    this.poll.dispose();
    super.dispose();
  }

  protected onAfterShow(message: Message): void {
    super.onAfterShow(message);
    this.opened();
    void this.poll.refresh();
  }

  protected onAfterHide(message: Message): void {
    super.onAfterHide(message);
    void this.poll.stop();
  }

  protected render(): React.JSX.Element {
    const { model, trans } = this;
    const { assignment, tasks, place } = model;
    const hidden = assignment?.checks === 'hidden';
    const earned = tasks.reduce((sum, { task }) => sum + (model.reports.get(task)?.earned ?? 0), 0);
    const points = tasks.reduce((sum, task) => sum + task.points, 0);
    return (
      <>
        <h2 className="mr-Panel-title">{trans.__('Tasks')}</h2>
        <Chooser model={model} trans={trans} />
        {assignment?.due && (
          <p className="mr-Quiet">{deadline(assignment.extension ?? assignment.due, trans)}</p>
        )}
        {assignment?.late && <p className="mr-Quiet">{assignment.late}</p>}
        {tasks.length > 0 && !hidden && (
          <p className="mr-Total">{trans.__('%1 of %2 points', earned, points)}</p>
        )}
        {hidden && (
          <p className="mr-Quiet">
            {trans.__('What the checks say is shown with the grade. Submit when you are done.')}
          </p>
        )}
        {place && (
          <div className="mr-Buttons">
            {tasks.length > 0 && !hidden && (
              <Button
                className="jp-mod-styled mr-Button"
                disabled={!!model.busy}
                onClick={() => void model.check()}
              >
                {trans.__('Check all')}
              </Button>
            )}
            <Button
              className="jp-mod-styled jp-mod-accept"
              disabled={!!model.busy}
              onClick={this.submit}
            >
              {trans.__('Submit…')}
            </Button>
          </div>
        )}
        <p className="mr-Busy" role="status">
          {model.busy}
        </p>
        {model.problem && (
          <p className="mr-Problem" role="alert">
            {model.problem}
          </p>
        )}
        {model.receipt && <Receipt receipt={model.receipt} trans={trans} />}
        <ol className="mr-Tasks">
          {tasks.map(task => (
            <TaskItem key={task.task} task={task} model={model} hidden={hidden} trans={trans} />
          ))}
        </ol>
      </>
    );
  }

  private readonly poll: Poll;
}

function Chooser({ model, trans }: { model: Tasks; trans: TranslationBundle }): React.JSX.Element {
  const all = [...model.assignments].flatMap(([course, found]) =>
    found.map(each => ({ id: `${course}/${each.name}`, title: each.title, course }))
  );
  if (all.length === 0) {
    return <p className="mr-Quiet">{trans.__('None of your courses has released an assignment yet.')}</p>;
  }
  return (
    <HTMLSelect
      aria-label={trans.__('Assignment')}
      value={model.place ? `${model.place.course}/${model.place.assignment}` : ''}
      onChange={event => {
        const [course = '', assignment = ''] = event.target.value.split('/');
        void model.choose({ course, assignment });
      }}
    >
      {all.map(({ id, title, course }) => (
        <option key={id} value={id}>
          {model.assignments.size > 1 ? `${title} (${course})` : title}
        </option>
      ))}
    </HTMLSelect>
  );
}

/** What one has in hand for the last submission. */
function Receipt({
  receipt,
  trans
}: {
  receipt: IReceipt;
  trans: TranslationBundle;
}): React.JSX.Element {
  const when = new Date(receipt.timestamp).toLocaleString();
  const machines = receipt.machines?.map(each => each.machine).join(', ');
  return (
    <details className="mr-Receipt">
      <summary>
        {trans.__('Submitted %1', when)}
        {receipt.late > 0 && ` (${trans.__('late')})`}
      </summary>
      <dl>
        <dt>{trans.__('Receipt')}</dt>
        <dd>
          <code>{receipt.id}</code>
        </dd>
        <dt>{trans.__('Digest of the files (SHA-256)')}</dt>
        <dd>
          <code>{receipt.sha256}</code>
        </dd>
        {machines && (
          <>
            <dt>{trans.__('Machines saved with it')}</dt>
            <dd>{machines}</dd>
          </>
        )}
        {receipt.missing && receipt.missing.length > 0 && (
          <>
            <dt>{trans.__('Machines that did not exist')}</dt>
            <dd>{receipt.missing.join(', ')}</dd>
          </>
        )}
        {receipt.signature && (
          <>
            <dt>{trans.__('Signature')}</dt>
            <dd>
              <code>{receipt.signature}</code>
            </dd>
          </>
        )}
      </dl>
      {receipt.problem && <p className="mr-Problem">{receipt.problem}</p>}
    </details>
  );
}
