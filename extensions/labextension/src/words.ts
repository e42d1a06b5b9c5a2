import { type TranslationBundle } from '@jupyterlab/translation';

import { type State } from './api';

/** A number of bytes as people read it: `33 MB`. */
export function size(bytes: number): string {
  let value = bytes;
  for (const unit of ['B', 'kB', 'MB', 'GB']) {
    if (value < 1000) {
      return `${value < 10 && unit !== 'B' ? value.toFixed(1) : Math.round(value)} ${unit}`;
    }
    value /= 1024;
  }
  return `${value.toFixed(1)} TB`;
}

/** How long ago a moment was, or how far away it is: `3 h`, `2 d 4 h`. */
export function span(milliseconds: number, trans: TranslationBundle): string {
  const minutes = Math.floor(Math.abs(milliseconds) / 60_000);
  const hours = Math.floor(minutes / 60);
  const days = Math.floor(hours / 24);
  if (days > 0) {
    return trans.__('%1 d %2 h', days, hours % 24);
  }
  if (hours > 0) {
    return trans.__('%1 h %2 min', hours, minutes % 60);
  }
  return minutes > 0 ? trans.__('%1 min', minutes) : trans.__('less than a minute');
}

/** What is said of a deadline. */
export function deadline(due: string, trans: TranslationBundle): string {
  const left = Date.parse(due) - Date.now();
  const day = new Date(due).toLocaleString(undefined, { dateStyle: 'medium', timeStyle: 'short' });
  return left > 0
    ? trans.__('due %1, %2 left', day, span(left, trans))
    : trans.__('was due %1', day);
}

/** A machine's state in words. */
export function stateOf(state: State | null, trans: TranslationBundle): string {
  switch (state) {
    case 'missing':
      return trans.__('not made yet');
    case 'creating':
      return trans.__('being made');
    case 'running':
      return trans.__('running');
    case 'suspended':
      return trans.__('suspended');
    case 'stopped':
      return trans.__('stopped');
    case 'broken':
      return trans.__('broken');
    case null:
      return trans.__('unknown');
  }
}
