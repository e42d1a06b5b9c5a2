import { type TranslationBundle } from '@jupyterlab/translation';
import { Button, HTMLSelect, VDomRenderer } from '@jupyterlab/ui-components';
import { type Message } from '@lumino/messaging';
import { Poll } from '@lumino/polling';
import React from 'react';

import { boardIcon } from '../icons';
import { type Board, type Show, type Sort, passed, shown } from './model';
import { Failing, Times } from './plots';
import { type IRowActions, Table } from './table';

const EVERY = 3000;

/** What the buttons above the table do, with those who are selected. */
export interface IBoardActions extends Omit<IRowActions, 'select'> {
  tell: () => void;
  start: () => void;
  suspend: () => void;
  reset: () => void;
  extend: () => void;
  save: () => void;
}

/** Every student of a course in one live page; it asks every few seconds while somebody looks. */
export class BoardPanel extends VDomRenderer<Board> {
  constructor(
    model: Board,
    private readonly actions: IBoardActions,
    private readonly trans: TranslationBundle
  ) {
    super(model);
    this.id = 'machineroom-board';
    this.addClass('mr-Panel');
    this.addClass('mr-Board');
    this.title.icon = boardIcon;
    this.title.label = trans.__('Class board');
    this.title.closable = true;
    this.node.tabIndex = -1;
    const select = (names: string[], on: boolean) => {
      model.select(names, on);
    };
    this.rowActions = { ...actions, select };
    this.poll = new Poll({
      name: 'machineroom:board',
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

  protected onActivateRequest(message: Message): void {
    super.onActivateRequest(message);
    this.node.focus();
  }

  protected onAfterShow(message: Message): void {
    super.onAfterShow(message);
    void this.poll.refresh();
  }

  protected onAfterHide(message: Message): void {
    super.onAfterHide(message);
    void this.poll.stop();
  }

  protected render(): React.JSX.Element {
    const { model, trans } = this;
    const { students, tasks, view, selected } = model;
    const rows = shown(students.values(), tasks, view);
    const sort = (by: Sort) => {
      model.show({ sort: by, descending: by === view.sort && !view.descending });
    };
    return (
      <>
        <Choices model={model} refresh={() => void this.poll.refresh()} trans={trans} />
        <Summary model={model} trans={trans} />
        {model.problem && (
          <p className="mr-Problem" role="alert">
            {model.problem}
          </p>
        )}
        <Actions model={model} actions={this.actions} trans={trans} />
        <div className="mr-Board-rows" tabIndex={0} role="group" aria-label={trans.__('The class')}>
          <Table
            rows={rows}
            tasks={tasks}
            selected={selected}
            view={view}
            minute={Math.ceil(Date.now() / 60_000)}
            actions={this.rowActions}
            sort={sort}
            trans={trans}
          />
          {rows.length === 0 && <p className="mr-Quiet">{trans.__('Nobody is shown.')}</p>}
        </div>
        {tasks.length > 0 && (
          <div className="mr-Board-plots">
            <Failing checks={model.checks} trans={trans} />
            <Times students={[...students.values()]} tasks={tasks} trans={trans} />
          </div>
        )}
      </>
    );
  }

  private readonly poll: Poll;
  private readonly rowActions: IRowActions;
}

function Choices(props: {
  model: Board;
  refresh: () => void;
  trans: TranslationBundle;
}): React.JSX.Element {
  const { model, refresh, trans } = props;
  const { view } = model;
  const words: Record<Show, string> = {
    all: trans.__('everybody'),
    hands: trans.__('whose hand is up'),
    away: trans.__('who is away'),
    unfinished: trans.__('who has not passed everything')
  };
  return (
    <div className="mr-Board-choices">
      <HTMLSelect
        aria-label={trans.__('Assignment')}
        value={`${model.course}/${model.assignment?.name ?? ''}`}
        onChange={event => {
          const [course = '', assignment = ''] = event.target.value.split('/');
          model.choose(course, assignment);
          refresh();
        }}
      >
        {[...model.assignments].map(([course, assignments]) => (
          <optgroup key={course} label={course}>
            {assignments.map(({ name, title }) => (
              <option key={name} value={`${course}/${name}`}>
                {title}
              </option>
            ))}
            {assignments.length === 0 && <option value={`${course}/`}>{course}</option>}
          </optgroup>
        ))}
      </HTMLSelect>
      <input
        type="search"
        className="jp-mod-styled"
        placeholder={trans.__('Find a student')}
        aria-label={trans.__('Find a student')}
        value={view.text}
        onChange={event => {
          model.show({ text: event.target.value });
        }}
      />
      <HTMLSelect
        aria-label={trans.__('Show')}
        value={view.show}
        onChange={event => {
          model.show({ show: event.target.value as Show });
        }}
      >
        {Object.entries(words).map(([value, each]) => (
          <option key={value} value={value}>
            {trans.__('Show %1', each)}
          </option>
        ))}
      </HTMLSelect>
    </div>
  );
}

function Summary({ model, trans }: { model: Board; trans: TranslationBundle }): React.JSX.Element {
  const students = [...model.students.values()];
  const { tasks } = model;
  const hands = students.filter(({ hand }) => hand).length;
  const facts = [
    trans.__('%1 students', students.length),
    trans.__('%1 here', students.filter(({ workspace }) => workspace).length),
    tasks.length > 0 &&
      trans.__('%1 have passed everything', students.filter(row => passed(row) >= tasks.length).length)
  ];
  return (
    <p className="mr-Board-summary">
      {facts.filter(Boolean).join(' · ')}{' '}
      <strong role="status">
        {hands > 0 && `✋ ${trans._n('%1 hand is up', '%1 hands are up', hands)}`}
      </strong>
    </p>
  );
}

function Actions(props: {
  model: Board;
  actions: IBoardActions;
  trans: TranslationBundle;
}): React.JSX.Element {
  const { model, actions, trans } = props;
  const count = model.selected.size;
  const button = (words: string, act: () => void, disabled = false) => (
    <Button className="jp-mod-styled mr-Button" disabled={disabled} onClick={act}>
      {words}
    </Button>
  );
  const lab = model.assignment?.lab;
  return (
    <div className="mr-Buttons" role="toolbar" aria-label={trans.__('For those who are selected')}>
      <span className="mr-Board-count" role="status">
        {count ? trans.__('%1 selected:', count) : trans.__('Nobody is selected.')}
      </span>
      {button(trans.__('Start machines'), actions.start, !count || !lab)}
      {button(trans.__('Suspend'), actions.suspend, !count)}
      {button(trans.__('Reset…'), actions.reset, !count || !lab)}
      {button(trans.__('More time…'), actions.extend, !count || !model.assignment)}
      {button(trans.__('Message…'), actions.tell, model.students.size === 0)}
      {button(trans.__('Save as CSV'), actions.save, model.students.size === 0)}
    </div>
  );
}
