import { type TranslationBundle } from '@jupyterlab/translation';
import { Button, type LabIcon } from '@jupyterlab/ui-components';
import React from 'react';

import { type IMachine, type IUsage, reason } from '../api';
import { CommandIDs } from '../commands';
import { consoleIcon, pageIcon, resetIcon, snapshotIcon, terminalIcon } from '../icons';
import { size, span, stateOf } from '../words';
import { type ISample, type Machines } from './model';
import { type Run } from './panel';
import { Sparkline } from './sparkline';

interface ICardProps {
  machine: IMachine;
  model: Machines;
  trans: TranslationBundle;
  run: Run;
}

/** One machine: what state it is in, what it uses, and what can be done to it. */
export function MachineCard({ machine, model, trans, run }: ICardProps): React.JSX.Element {
  const { id, state, title, usage } = machine;
  const busy = model.busy.get(id);
  const up = usage ? span(Date.parse(usage.time) - Date.parse(usage.started), trans) : '';
  const facts = [
    machine.address,
    usage && state === 'running' && trans.__('up %1', up),
    usage && trans.__('%1 of %2 processes', usage.processes, usage.process_limit)
  ];
  return (
    <article className="mr-Machine" aria-label={trans.__('Machine %1', title)} aria-busy={!!busy}>
      <h4>
        <span className="mr-Light" data-state={state ?? 'unknown'} aria-hidden="true" /> {title}
        <span className="mr-Machine-state" role="status">
          {stateOf(state, trans)}
        </span>
      </h4>
      <p className="mr-Quiet">{facts.filter(Boolean).join(' · ')}</p>
      {usage && <Plots usage={usage} samples={model.samples.get(id) ?? []} trans={trans} />}
      {busy && <p className="mr-Busy">{busy}</p>}
      <Buttons machine={machine} busy={!!busy} trans={trans} run={run} />
      {state !== null && (
        <Snapshots machine={machine} busy={!!busy} model={model} trans={trans} run={run} />
      )}
    </article>
  );
}

function Plots(props: {
  usage: IUsage;
  samples: ISample[];
  trans: TranslationBundle;
}): React.JSX.Element {
  const { usage, samples, trans } = props;
  const cpu = samples.flatMap(sample => (sample.cpu === null ? [] : [sample.cpu]));
  const percent = Math.round((cpu.at(-1) ?? 0) * 100);
  const cpuWords = trans.__('%1 % of %2 CPU', percent, usage.cpus);
  const memoryWords = trans.__('%1 of %2', size(usage.memory), size(usage.memory_limit));
  return (
    <dl className="mr-Plots">
      <dt>{trans.__('CPU')}</dt>
      <dd>
        <Sparkline values={cpu} most={60} label={trans.__('CPU: %1', cpuWords)} />
        <span>{cpuWords}</span>
      </dd>
      <dt>{trans.__('Memory')}</dt>
      <dd>
        <Sparkline
          values={samples.map(sample => sample.memory / usage.memory_limit)}
          most={60}
          label={trans.__('Memory: %1', memoryWords)}
        />
        <span>{memoryWords}</span>
      </dd>
    </dl>
  );
}

function Buttons(props: {
  machine: IMachine;
  busy: boolean;
  trans: TranslationBundle;
  run: Run;
}): React.JSX.Element {
  const { machine, busy, trans, run } = props;
  const { state, usage } = machine;
  const runs = state === 'running' || state === 'broken';
  const args = { machine: machine.id };
  const button = (command: string, label: string, icon?: LabIcon, more = {}, disabled = busy) => (
    <Button
      className="jp-mod-styled mr-Button"
      disabled={disabled}
      title={label}
      aria-label={`${label}: ${machine.title}`}
      onClick={() => {
        run(command, { ...args, ...more });
      }}
    >
      {icon && <icon.react tag="span" className="mr-Button-icon" />}
      {label}
    </Button>
  );
  return (
    <div className="mr-Buttons" role="group" aria-label={trans.__('What can be done to %1', machine.title)}>
      {button(CommandIDs.openTerminal, trans.__('Terminal'), terminalIcon)}
      {usage?.ports.map(port => (
        <React.Fragment key={port}>
          {button(CommandIDs.openPage, trans.__('Port %1', port), pageIcon, { port })}
        </React.Fragment>
      ))}
      {runs && button(CommandIDs.openConsole, trans.__('Console'), consoleIcon)}
      {runs && button(CommandIDs.suspend, trans.__('Suspend'))}
      {state === 'suspended' && button(CommandIDs.resume, trans.__('Resume'))}
      {(runs || state === 'suspended') && button(CommandIDs.stop, trans.__('Stop'))}
      {(state === 'stopped' || state === 'missing') && button(CommandIDs.start, trans.__('Start'))}
      {state !== 'missing' && button(CommandIDs.reset, trans.__('Reset…'), resetIcon)}
    </div>
  );
}

function Snapshots({
  machine,
  busy,
  model,
  trans,
  run
}: ICardProps & { busy: boolean }): React.JSX.Element {
  const [problem, setProblem] = React.useState('');
  const known = model.snapshots.get(machine.id);
  const args = { machine: machine.id };
  const load = () => {
    model.loadSnapshots(machine).then(
      () => {
        setProblem('');
      },
      (error: unknown) => {
        setProblem(reason(error));
      }
    );
  };
  return (
    <details
      className="mr-Snapshots"
      onToggle={event => {
        if (event.currentTarget.open) {
          load();
        }
      }}
    >
      <summary>{trans.__('Snapshots')}</summary>
      {problem && (
        <p className="mr-Problem" role="alert">
          {problem}
        </p>
      )}
      {known?.length === 0 && <p className="mr-Quiet">{trans.__('None yet.')}</p>}
      <ul>
        {known?.map(({ name, created, size: bytes }) => (
          <li key={name}>
            <span>
              {name}{' '}
              <span className="mr-Quiet">
                {new Date(created).toLocaleString(undefined, {
                  dateStyle: 'short',
                  timeStyle: 'short'
                })}
                , {size(bytes)}
              </span>
            </span>
            <Button
              className="jp-mod-styled mr-Button"
              disabled={busy}
              aria-label={trans.__('Bring %1 back to “%2”', machine.title, name)}
              onClick={() => {
                run(CommandIDs.restore, { ...args, name });
              }}
            >
              {trans.__('Restore…')}
            </Button>
            <Button
              className="jp-mod-styled mr-Button"
              disabled={busy}
              aria-label={trans.__('Delete the snapshot “%1” of %2', name, machine.title)}
              onClick={() => {
                run(CommandIDs.deleteSnapshot, { ...args, name });
              }}
            >
              {trans.__('Delete…')}
            </Button>
          </li>
        ))}
      </ul>
      {machine.state !== 'missing' && (
        <Button
          className="jp-mod-styled mr-Button"
          disabled={busy}
          onClick={() => {
            run(CommandIDs.save, args);
          }}
        >
          <snapshotIcon.react tag="span" className="mr-Button-icon" />
          {trans.__('Save a snapshot…')}
        </Button>
      )}
    </details>
  );
}
