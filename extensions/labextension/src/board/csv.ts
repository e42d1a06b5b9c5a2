import { type IStudent, type ITaskColumn } from './model';

/** A cell of a spreadsheet: one that a spreadsheet would compute is marked as text. */
function cell(value: string | number): string {
  let text = String(value);
  if (typeof value === 'string' && /^[=+\-@\t\r]/.test(text)) {
    text = `'${text}`;
  }
  return /[",\n\r]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

/** The board as a table that every spreadsheet reads. */
export function csv(students: IStudent[], tasks: ITaskColumn[]): string {
  const heads = [
    'student',
    'workspace',
    'machines',
    'last activity',
    'submitted',
    'own deadline',
    'hand since',
    'hand',
    ...tasks.flatMap(({ task }) => [task, `${task} (seconds)`])
  ];
  const rows = students.map(row => [
    row.student,
    row.workspace ? 'on' : 'off',
    row.machines.map(({ lab, machine, state }) => `${lab}/${machine}: ${state}`).join('; '),
    row.active ?? '',
    row.submitted ?? '',
    row.extension ?? '',
    row.hand?.since ?? '',
    row.hand?.sentence ?? '',
    ...tasks.flatMap(({ task }) => [row.tasks[task]?.earned ?? '', row.tasks[task]?.took ?? ''])
  ]);
  return [heads, ...rows].map(row => row.map(cell).join(',')).join('\r\n') + '\r\n';
}
