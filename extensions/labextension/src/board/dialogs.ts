import { Dialog, showDialog } from '@jupyterlab/apputils';
import { type TranslationBundle } from '@jupyterlab/translation';
import { Widget } from '@lumino/widgets';

import { type Board, type IOutcome, type To } from './model';

/** A dialog's body of labelled fields. */
class Form<T> extends Widget implements Dialog.IBodyWidget<T> {
  constructor(
    fields: [string, HTMLElement][],
    private readonly value: () => T
  ) {
    super();
    this.addClass('mr-Form');
    for (const [words, field] of fields) {
      const label = document.createElement('label');
      label.append(words, field);
      this.node.append(label);
    }
  }

  getValue(): T {
    return this.value();
  }
}

async function ask<T>(
  title: string,
  fields: [string, HTMLElement][],
  value: () => T,
  ok: string
): Promise<T | null> {
  const answer = await showDialog({
    title,
    body: new Form(fields, value),
    buttons: [Dialog.cancelButton(), Dialog.okButton({ label: ok })],
    focusNodeSelector: 'textarea, input'
  });
  return answer.button.accept ? answer.value : null;
}

/** What to tell whom; null when nothing is to be told. */
export async function askMessage(
  board: Board,
  trans: TranslationBundle
): Promise<{ text: string; to: To } | null> {
  const text = document.createElement('textarea');
  text.rows = 4;
  text.maxLength = 2000;
  const choices: [string, To][] = [];
  const selected = [...board.selected];
  if (selected.length) {
    choices.push([trans.__('The %1 who are selected', selected.length), selected]);
  }
  choices.push([trans.__('All %1 students', board.students.size), 'all']);
  const assignment = board.assignment?.name;
  if (assignment) {
    for (const { task, title } of board.tasks) {
      choices.push([trans.__('Who does not pass: %1', title), { assignment, task }]);
    }
    for (const { task, check, title, failed } of board.checks) {
      if (failed) {
        choices.push([
          trans.__('The %1 who fail the check: %2', failed, title),
          { assignment, task, check }
        ]);
      }
    }
  }
  const to = document.createElement('select');
  choices.forEach(([words], index) => {
    to.add(new Option(words, String(index)));
  });
  const value = () => ({ text: text.value.trim(), to: choices[Number(to.value)]?.[1] ?? [] });
  const said = await ask(
    trans.__('Tell students something'),
    [
      [trans.__('To'), to],
      [trans.__('Message'), text]
    ],
    value,
    trans.__('Send')
  );
  return said?.text ? said : null;
}

/** Until when some students may submit; null when that is to stay as it is. */
export async function askUntil(count: number, trans: TranslationBundle): Promise<Date | null> {
  const until = document.createElement('input');
  until.type = 'datetime-local';
  const tomorrow = new Date(Date.now() + 24 * 3600 * 1000);
  until.value = tomorrow.toLocaleString('sv').slice(0, 16).replace(' ', 'T');
  const text = await ask(
    trans.__('More time for %1 students', count),
    [[trans.__('They may submit until'), until]],
    () => until.value,
    trans.__('Give it')
  );
  return text ? new Date(text) : null;
}

/** Whether to go on with what cannot be undone. */
export async function askReset(count: number, trans: TranslationBundle): Promise<boolean> {
  const answer = await showDialog({
    title: trans.__('Reset the machines of %1 students?', count),
    body: trans.__(
      'Everything on their machines is lost: files, installed packages, settings, running programs. They get clean machines. Their notebooks and snapshots stay.'
    ),
    buttons: [
      Dialog.cancelButton({ label: trans.__('Keep them') }),
      Dialog.warnButton({ label: trans.__('Reset them') })
    ],
    defaultButton: 0
  });
  return answer.button.accept;
}

/** Say for whom it failed, and why. */
export async function showFailures(
  title: string,
  { failed }: IOutcome,
  trans: TranslationBundle
): Promise<void> {
  const body = new Widget();
  body.addClass('mr-Failures');
  const list = document.createElement('ul');
  for (const { student, machine, problem } of failed) {
    const item = document.createElement('li');
    item.textContent = machine ? `${student}, ${machine}: ${problem}` : `${student}: ${problem}`;
    list.append(item);
  }
  body.node.append(list);
  await showDialog({ title, body, buttons: [Dialog.okButton({ label: trans.__('Close') })] });
}
