import { type TranslationBundle } from '@jupyterlab/translation';
import { Button, VDomRenderer } from '@jupyterlab/ui-components';
import React from 'react';

import { type IRole } from '../api';
import { handIcon } from '../icons';
import { span } from '../words';
import { type Help, type IHelp, type IVisit } from './model';

/** Raise a hand, see that somebody comes, and read what one was told. */
export class HelpPanel extends VDomRenderer<Help> {
  constructor(
    model: Help,
    private readonly trans: TranslationBundle
  ) {
    super(model);
    this.id = 'machineroom-help';
    this.addClass('mr-Panel');
    this.title.icon = handIcon;
    this.title.caption = trans.__('Help');
    this.node.setAttribute('role', 'region');
    this.node.setAttribute('aria-label', trans.__('Help'));
  }

  protected render(): React.JSX.Element {
    const { model, trans } = this;
    const courses = model.courses ?? [];
    return (
      <>
        <h2 className="mr-Panel-title">{trans.__('Help')}</h2>
        {model.problem && (
          <p className="mr-Problem" role="alert">
            {model.problem}
          </p>
        )}
        {model.visits.length > 0 && (
          <section aria-label={trans.__('Who looks on')}>
            <h3>{trans.__('Who looks on')}</h3>
            {model.visits.map(visit => (
              <Visitor key={visit.id} visit={visit} model={model} trans={trans} />
            ))}
          </section>
        )}
        {courses.map(course => {
          const help = model.help.get(course.id);
          return (
            help && (
              <section key={course.id} className="mr-Lab" aria-label={course.title}>
                {courses.length > 1 && <h3>{course.title}</h3>}
                <Hand course={course} help={help} model={model} trans={trans} />
                <Messages help={help} trans={trans} />
                <Past help={help} trans={trans} />
              </section>
            )
          );
        })}
      </>
    );
  }
}

function Hand(props: {
  course: IRole;
  help: IHelp;
  model: Help;
  trans: TranslationBundle;
}): React.JSX.Element {
  const { course, help, model, trans } = props;
  const { hand } = help;
  const [sentence, setSentence] = React.useState(hand?.sentence ?? '');
  return (
    <form
      className="mr-Form"
      onSubmit={event => {
        event.preventDefault();
        void model.raise(course.id, sentence);
      }}
    >
      <label>
        {trans.__('What do you need help with?')}
        <textarea
          className="jp-mod-styled"
          rows={2}
          maxLength={300}
          required
          value={sentence}
          onChange={event => {
            setSentence(event.target.value);
          }}
        />
      </label>
      <p role="status">
        {hand &&
          (hand.coming
            ? trans.__('✋ %1 is coming to you.', hand.coming)
            : trans.__('✋ Your hand is up, for %1.', ago(hand.since, trans)))}
      </p>
      <div className="mr-Buttons">
        <Button
          className={`jp-mod-styled mr-Button ${hand ? '' : 'jp-mod-accept'}`}
          type="submit"
          disabled={!sentence.trim() || sentence === hand?.sentence}
        >
          {hand ? trans.__('Update') : trans.__('Raise my hand')}
        </Button>
        {hand && (
          <Button
            className="jp-mod-styled mr-Button"
            type="button"
            onClick={() => {
              setSentence('');
              void model.lower(course.id);
            }}
          >
            {trans.__('Take it down')}
          </Button>
        )}
      </div>
    </form>
  );
}

function ago(moment: string, trans: TranslationBundle): string {
  return span(Math.max(0, Date.now() - Date.parse(moment)), trans);
}

function Messages({ help, trans }: { help: IHelp; trans: TranslationBundle }): React.JSX.Element {
  const newest = [...help.messages].reverse();
  return (
    <>
      <h3>{trans.__('Messages')}</h3>
      {newest.length === 0 && <p className="mr-Quiet">{trans.__('None yet.')}</p>}
      <ul className="mr-Messages">
        {newest.map(({ id, time, by, text }) => (
          <li key={id}>
            <span className="mr-Quiet">
              {by},{' '}
              {new Date(time).toLocaleString(undefined, { dateStyle: 'short', timeStyle: 'short' })}
            </span>
            <p>{text}</p>
          </li>
        ))}
      </ul>
    </>
  );
}

/** Somebody who is at a terminal of the student's, and what the student lets them do. */
function Visitor(props: {
  visit: IVisit;
  model: Help;
  trans: TranslationBundle;
}): React.JSX.Element {
  const { visit, model, trans } = props;
  const { by, terminal, typing } = visit;
  const words = {
    no: trans.__('%1 looks on at %2.', by, terminal),
    asked: trans.__('%1 looks on at %2, and asks whether to type.', by, terminal),
    allowed: trans.__('%1 is at %2 and may type.', by, terminal),
    refused: trans.__('%1 looks on at %2 and may not type.', by, terminal)
  };
  const may = typing === 'allowed';
  return (
    <div className="mr-Visitor">
      <p role="status">{words[typing]}</p>
      <div className="mr-Buttons">
        <Button
          className="jp-mod-styled mr-Button"
          aria-label={may ? trans.__('No typing: %1', by) : trans.__('Allow typing: %1', by)}
          onClick={() => void model.decide(visit, !may)}
        >
          {may ? trans.__('No typing') : trans.__('Allow typing')}
        </Button>
        {typing === 'asked' && (
          <Button
            className="jp-mod-styled mr-Button"
            aria-label={trans.__('Refuse: %1', by)}
            onClick={() => void model.decide(visit, false)}
          >
            {trans.__('Refuse')}
          </Button>
        )}
        <Button
          className="jp-mod-styled mr-Button"
          aria-label={trans.__('End the visit: %1', by)}
          onClick={() => void model.end(visit)}
        >
          {trans.__('End the visit')}
        </Button>
      </div>
    </div>
  );
}

/** Who has looked on, for the student to know. */
function Past({ help, trans }: { help: IHelp; trans: TranslationBundle }): React.JSX.Element | null {
  const past = help.visits.filter(({ ended }) => ended);
  if (past.length === 0) {
    return null;
  }
  return (
    <>
      <h3>{trans.__('Who has looked on')}</h3>
      <ul>
        {past.map(({ by, terminal, began, typed }) => (
          <li key={`${by} ${began}`} className="mr-Quiet">
            {new Date(began).toLocaleString(undefined, { dateStyle: 'short', timeStyle: 'short' })}:{' '}
            {typed
              ? trans.__('%1 was at %2 and might type', by, terminal)
              : trans.__('%1 looked on at %2', by, terminal)}
          </li>
        ))}
      </ul>
    </>
  );
}
