import { type TranslationBundle } from '@jupyterlab/translation';
import React from 'react';

import { span } from '../words';
import { type ICheckTally, type IStudent, type ITaskColumn } from './model';

const MOST = 8;
const WIDTH = 240;

/** Which checks fail most: one bar each. */
export function Failing(props: {
  checks: ICheckTally[];
  trans: TranslationBundle;
}): React.JSX.Element {
  const { checks, trans } = props;
  const worst = checks
    .filter(({ failed }) => failed > 0)
    .sort((one, other) => other.failed - one.failed)
    .slice(0, MOST);
  return (
    <section className="mr-Plot" aria-label={trans.__('Checks that fail most')}>
      <h3>{trans.__('Checks that fail most')}</h3>
      {worst.length === 0 && <p className="mr-Quiet">{trans.__('None fails.')}</p>}
      <ul>
        {worst.map(({ task, check, title, failed, of }) => (
          <li key={`${task}/${check}`}>
            <span title={`${task}: ${title}`}>{title}</span>
            <svg
              viewBox={`0 0 ${WIDTH} 10`}
              preserveAspectRatio="none"
              role="img"
              aria-label={trans.__('fails for %1 of %2', failed, of)}
            >
              <rect className="mr-Plot-ground" width={WIDTH} height="10" />
              <rect className="mr-Plot-bar" width={(WIDTH * failed) / of} height="10" />
            </svg>
            <span aria-hidden="true">{trans.__('%1 of %2', failed, of)}</span>
          </li>
        ))}
      </ul>
    </section>
  );
}

/** The value below which a share of sorted values lies. */
function quantile(sorted: number[], share: number): number {
  const place = (sorted.length - 1) * share;
  const low = sorted[Math.floor(place)] ?? 0;
  const high = sorted[Math.ceil(place)] ?? low;
  return low + (high - low) * (place - Math.floor(place));
}

/** How long each task took: half of the students within the box, the median as a line. */
export function Times(props: {
  students: IStudent[];
  tasks: ITaskColumn[];
  trans: TranslationBundle;
}): React.JSX.Element {
  const { students, tasks, trans } = props;
  const known = tasks.map(task => ({
    ...task,
    seconds: students
      .map(({ tasks: all }) => all[task.task]?.took)
      .filter(took => typeof took === 'number')
      .sort((one, other) => one - other)
  }));
  // beyond it lie those who went home in between
  const most = Math.max(1, ...known.map(({ seconds }) => 1.2 * quantile(seconds, 0.9)));
  const at = (seconds: number): number => Math.min(WIDTH, (WIDTH * seconds) / most);
  return (
    <section className="mr-Plot" aria-label={trans.__('How long each task took')}>
      <h3>{trans.__('How long each task took')}</h3>
      <ul>
        {known.map(({ task, title, seconds }) => {
          const [low, middle, high] = [0.25, 0.5, 0.75].map(share => quantile(seconds, share)) as [
            number,
            number,
            number
          ];
          const words = seconds.length
            ? trans.__('%1, %2 students', span(middle * 1000, trans), seconds.length)
            : trans.__('nobody yet');
          return (
            <li key={task}>
              <span title={title}>{title}</span>
              <svg
                viewBox={`0 0 ${WIDTH} 10`}
                preserveAspectRatio="none"
                role="img"
                aria-label={trans.__('half took longer than %1', words)}
              >
                <rect className="mr-Plot-ground" width={WIDTH} height="10" />
                {seconds.length > 0 && (
                  <>
                    <rect
                      className="mr-Plot-box"
                      x={at(low)}
                      width={Math.max(2, at(high) - at(low))}
                      height="10"
                    />
                    <rect className="mr-Plot-line" x={at(middle) - 1} width="2" height="10" />
                  </>
                )}
              </svg>
              <span aria-hidden="true">{words}</span>
            </li>
          );
        })}
      </ul>
    </section>
  );
}
