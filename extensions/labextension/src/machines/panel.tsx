import { type TranslationBundle } from '@jupyterlab/translation';
import { Button, VDomRenderer } from '@jupyterlab/ui-components';
import { type CommandRegistry } from '@lumino/commands';
import { type ReadonlyPartialJSONObject } from '@lumino/coreutils';
import { type Message } from '@lumino/messaging';
import { Poll } from '@lumino/polling';
import React from 'react';

import { type IMachine } from '../api';
import { CommandIDs } from '../commands';
import { machineIcon } from '../icons';
import { deadline } from '../words';
import { MachineCard } from './card';
import { type Machines } from './model';
import { Topology } from './topology';

const EVERY = 3000;

/** A command that a button gives, with its arguments. */
export type Run = (command: string, args: ReadonlyPartialJSONObject) => void;

/** The user's machines, by lab. It looks at them every few seconds while somebody looks at it. */
export class MachinesPanel extends VDomRenderer<Machines> {
  constructor(
    model: Machines,
    private readonly commands: CommandRegistry,
    private readonly trans: TranslationBundle
  ) {
    super(model);
    this.id = 'machineroom-machines';
    this.addClass('mr-Panel');
    this.title.icon = machineIcon;
    this.title.caption = trans.__('Machines');
    this.node.setAttribute('role', 'region');
    this.node.setAttribute('aria-label', trans.__('Machines'));
    this.poll = new Poll({
      name: 'machineroom:machines',
      auto: false,
      factory: () => model.look(),
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
    this.model.forgetAssignments();
    void this.poll.refresh();
  }

  protected onAfterHide(message: Message): void {
    super.onAfterHide(message);
    void this.poll.stop();
  }

  protected render(): React.JSX.Element {
    const { model, trans } = this;
    const labs = Map.groupBy(model.list, machine => `${machine.course}/${machine.lab}`);
    const run: Run = (command, args) => void this.commands.execute(command, args);
    return (
      <>
        <h2 className="mr-Panel-title">{trans.__('Machines')}</h2>
        {model.problem && (
          <p className="mr-Problem" role="alert">
            {trans.__('The machines cannot be looked at now. %1', model.problem)}
          </p>
        )}
        {model.list.length === 0 && !model.problem && (
          <p className="mr-Quiet">{trans.__('None of your courses has a machine.')}</p>
        )}
        {[...labs].map(([id, machines]) => (
          <Lab key={id} machines={machines} model={model} trans={trans} run={run} />
        ))}
      </>
    );
  }

  private readonly poll: Poll;
}

function Lab(props: {
  machines: IMachine[];
  model: Machines;
  trans: TranslationBundle;
  run: Run;
}): React.JSX.Element {
  const { machines, model, trans, run } = props;
  const [{ course, lab: id } = { course: '', lab: '' }] = machines;
  const lab = model.labs.get(course)?.find(each => each.lab === id);
  const assignments = (model.assignments.get(course) ?? []).filter(each => each.lab === id);
  const missing = machines.filter(machine => machine.state === 'missing');
  return (
    <section className="mr-Lab" aria-label={trans.__('Lab %1 of %2', id, course)}>
      <h3>
        {id} <span className="mr-Quiet">{course}</span>
      </h3>
      {assignments.length > 0 && (
        <ul className="mr-Lab-assignments">
          {assignments.map(each => (
            <li key={each.name}>
              {each.title}
              {each.due && (
                <span className="mr-Quiet"> {deadline(each.extension ?? each.due, trans)}</span>
              )}
            </li>
          ))}
        </ul>
      )}
      {lab && (
        <Topology
          lab={lab}
          states={new Map(machines.map(({ machine, state }) => [machine, state]))}
          trans={trans}
        />
      )}
      {missing.length > 1 && (
        <Button
          className="jp-mod-styled jp-mod-accept"
          onClick={() => {
            missing.forEach(machine => {
              run(CommandIDs.start, { machine: machine.id });
            });
          }}
        >
          {trans.__('Start all')}
        </Button>
      )}
      {machines.map(machine => (
        <MachineCard key={machine.id} machine={machine} model={model} trans={trans} run={run} />
      ))}
    </section>
  );
}
