import { type TranslationBundle } from '@jupyterlab/translation';
import { Button } from '@jupyterlab/ui-components';
import React from 'react';

import { span, stateOf } from '../words';
import { type IStanding, type IStudent, type ITaskColumn, type IView, type Sort } from './model';

/** What the buttons of a row do. */
export interface IRowActions {
  come: (student: string, coming: boolean) => void;
  helped: (student: string) => void;
  visit: (student: IStudent) => void;
  select: (students: string[], on: boolean) => void;
}

interface ITableProps {
  rows: IStudent[];
  tasks: ITaskColumn[];
  selected: ReadonlySet<string>;
  view: IView;
  /** In whole minutes, so that what is some time ago is right and no row is made anew each second. */
  minute: number;
  actions: IRowActions;
  sort: (by: Sort) => void;
  trans: TranslationBundle;
}

/** The class as a table; a row is made anew only when its student has changed. */
export function Table(props: ITableProps): React.JSX.Element {
  const { rows, tasks, selected, view, minute, actions, sort, trans } = props;
  const names = rows.map(({ student }) => student);
  const all = rows.length > 0 && names.every(name => selected.has(name));
  const head = (by: Sort, words: string) => (
    <th
      scope="col"
      aria-sort={view.sort === by ? (view.descending ? 'descending' : 'ascending') : 'none'}
    >
      <button
        className="mr-Board-sort"
        onClick={() => {
          sort(by);
        }}
      >
        {words}
        <span aria-hidden="true">{view.sort === by ? (view.descending ? ' ▼' : ' ▲') : ''}</span>
      </button>
    </th>
  );
  return (
    <table className="mr-Board-table" aria-label={trans.__('Students')}>
      <thead>
        <tr>
          <th scope="col">
            <input
              type="checkbox"
              checked={all}
              aria-label={trans.__('Select all who are shown')}
              onChange={() => {
                actions.select(names, !all);
              }}
            />
          </th>
          {head('student', trans.__('Student'))}
          <th scope="col">{trans.__('Hand')}</th>
          <th scope="col">{trans.__('Workspace and machines')}</th>
          {head('active', trans.__('Active'))}
          {head('passed', trans.__('Passed'))}
          {tasks.map(({ task, title }) => (
            <th key={task} scope="col" className="mr-Board-task" title={title}>
              <span>{task}</span>
            </th>
          ))}
          <th scope="col">{trans.__('Submitted')}</th>
        </tr>
      </thead>
      <tbody>
        {rows.map(row => (
          <Row
            key={row.student}
            row={row}
            tasks={tasks}
            selected={selected.has(row.student)}
            minute={minute}
            actions={actions}
            trans={trans}
          />
        ))}
      </tbody>
    </table>
  );
}

const Row = React.memo(function Row(props: {
  row: IStudent;
  tasks: ITaskColumn[];
  selected: boolean;
  minute: number;
  actions: IRowActions;
  trans: TranslationBundle;
}): React.JSX.Element {
  const { row, tasks, selected, minute, actions, trans } = props;
  const { student } = row;
  const all = Object.values(row.tasks).filter(({ earned, points }) => earned >= points).length;
  return (
    <tr aria-selected={selected} data-hand={row.hand ? '' : undefined}>
      <td>
        <input
          type="checkbox"
          checked={selected}
          aria-label={trans.__('Select %1', student)}
          onChange={() => {
            actions.select([student], !selected);
          }}
        />
      </td>
      <th scope="row">{student}</th>
      <td>{row.hand && <Hand row={row} minute={minute} actions={actions} trans={trans} />}</td>
      <td className="mr-Board-machines">
        <span>
          <span
            className="mr-Light"
            data-state={row.workspace ? 'running' : 'stopped'}
            aria-hidden="true"
          />
          {row.workspace ? trans.__('here') : trans.__('away')}
        </span>
        {row.machines.map(({ lab, machine, state }) => (
          <span key={`${lab}/${machine}`} title={`${lab}/${machine}: ${stateOf(state, trans)}`}>
            <span className="mr-Light" data-state={state} aria-hidden="true" />
            {machine}
            <span className="mr-Hidden">: {stateOf(state, trans)}</span>
          </span>
        ))}
        {row.terminals.length > 0 && (
          <Button
            className="jp-mod-styled mr-Button"
            aria-label={trans.__('Look on at a terminal of %1', student)}
            onClick={() => {
              actions.visit(row);
            }}
          >
            {trans.__('Look on')}
          </Button>
        )}
        {row.visits.map(({ by, terminal, typing }) => (
          <span key={`${by} ${terminal}`} className="mr-Quiet">
            {typing ? trans.__('%1 types at %2', by, terminal) : trans.__('%1 is at %2', by, terminal)}
          </span>
        ))}
      </td>
      <td>{row.active ? trans.__('%1 ago', ago(row.active, minute, trans)) : ''}</td>
      <td className="mr-Board-number">
        {tasks.length > 0 && trans.__('%1 of %2', all, tasks.length)}
      </td>
      {tasks.map(({ task, title }) => (
        <Heat key={task} title={title} standing={row.tasks[task]} trans={trans} />
      ))}
      <td>
        {row.submitted &&
          new Date(row.submitted).toLocaleString(undefined, {
            dateStyle: 'short',
            timeStyle: 'short'
          })}
        {row.extension && (
          <span className="mr-Quiet">
            {' '}
            {trans.__('may until %1', new Date(row.extension).toLocaleDateString())}
          </span>
        )}
      </td>
    </tr>
  );
});

function ago(moment: string, minute: number, trans: TranslationBundle): string {
  return span(Math.max(0, minute * 60_000 - Date.parse(moment)), trans);
}

function Hand(props: {
  row: IStudent;
  minute: number;
  actions: IRowActions;
  trans: TranslationBundle;
}): React.JSX.Element | null {
  const { row, minute, actions, trans } = props;
  const { hand, student } = row;
  if (!hand) {
    return null;
  }
  const coming = hand.coming;
  return (
    <div className="mr-Board-hand">
      <span aria-hidden="true">✋ </span>
      <q>{hand.sentence}</q>{' '}
      <span className="mr-Quiet">{trans.__('for %1', ago(hand.since, minute, trans))}</span>
      {coming && <strong> {trans.__('%1 is coming', coming)}</strong>}
      <div className="mr-Buttons">
        <Button
          className="jp-mod-styled mr-Button"
          aria-label={
            coming ? trans.__('Nobody comes to %1', student) : trans.__('I am coming to %1', student)
          }
          onClick={() => {
            actions.come(student, !coming);
          }}
        >
          {coming ? trans.__('Take back') : trans.__('I am coming')}
        </Button>
        <Button
          className="jp-mod-styled mr-Button"
          aria-label={trans.__('%1 was helped', student)}
          onClick={() => {
            actions.helped(student);
          }}
        >
          {trans.__('Helped')}
        </Button>
      </div>
    </div>
  );
}

/** A cell of the heat map: a colour, a sign, and the words for whoever sees neither. */
function Heat(props: {
  title: string;
  standing: IStanding | undefined;
  trans: TranslationBundle;
}): React.JSX.Element {
  const { title, standing, trans } = props;
  if (!standing) {
    return (
      <td className="mr-Heat" data-state="unknown" title={trans.__('%1: not checked yet', title)}>
        <span className="mr-Hidden">{trans.__('not checked yet')}</span>
      </td>
    );
  }
  const { earned, points } = standing;
  const [state, sign] =
    earned >= points ? ['passed', '✓'] : earned > 0 ? ['partly', '◐'] : ['failed', '✗'];
  const words = trans.__('%1 of %2 points', earned, points);
  return (
    <td className="mr-Heat" data-state={state} title={`${title}: ${words}`}>
      <span aria-hidden="true">{sign}</span>
      <span className="mr-Hidden">{words}</span>
    </td>
  );
}
