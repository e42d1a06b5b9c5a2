import { type TranslationBundle } from '@jupyterlab/translation';
import { Button } from '@jupyterlab/ui-components';
import React from 'react';

import { type IReport, type ITask, type Outcome, type Tasks } from './model';

/** How a task stands: a light, and the words for whoever does not see it. */
function light(report: IReport | undefined, trans: TranslationBundle): [string, string, string] {
  if (!report) {
    return ['unknown', '○', trans.__('not checked yet')];
  }
  if (report.checks.some(({ outcome }) => outcome === 'error' || outcome === 'timeout')) {
    return ['error', '!', trans.__('could not be checked')];
  }
  if (report.earned >= report.points) {
    return ['passed', '✓', trans.__('passed')];
  }
  return report.earned > 0 ? ['partly', '◐', trans.__('partly')] : ['failed', '✗', trans.__('not yet')];
}

/** One task: its light, points, what each check saw, and its hints one at a time. */
export function TaskItem(props: {
  task: ITask;
  model: Tasks;
  hidden: boolean;
  trans: TranslationBundle;
}): React.JSX.Element {
  const { task, model, hidden, trans } = props;
  const report = model.reports.get(task.task);
  const [state, sign, words] = light(report, trans);
  const shown = model.hints.get(task.task) ?? 0;
  const earned = report ? trans.__('%1 of %2', report.earned, task.points) : String(task.points);
  return (
    <li className="mr-Task">
      <details>
        <summary>
          {!hidden && (
            <span className="mr-Task-light" data-state={state} role="img" aria-label={words}>
              {sign}
            </span>
          )}
          <span className="mr-Task-title">{task.title}</span>
          <span
            className="mr-Task-points"
            aria-label={trans.__('%1 points', hidden ? task.points : earned)}
          >
            {hidden ? task.points : earned}
          </span>
        </summary>
        {report && !hidden && <Checks report={report} trans={trans} />}
        {task.hints.slice(0, shown).map(hint => (
          <p key={hint} className="mr-Hint">
            {hint}
          </p>
        ))}
        <div className="mr-Buttons">
          {!hidden && (
            <Button
              className="jp-mod-styled mr-Button"
              disabled={!!model.busy}
              aria-label={trans.__('Check: %1', task.title)}
              onClick={() => void model.check(task.task)}
            >
              {trans.__('Check')}
            </Button>
          )}
          {shown < task.hints.length && (
            <Button
              className="jp-mod-styled mr-Button"
              aria-label={trans.__('Hint %1 of %2: %3', shown + 1, task.hints.length, task.title)}
              onClick={() => {
                model.hint(task.task);
              }}
            >
              {trans.__('Hint %1 of %2', shown + 1, task.hints.length)}
            </Button>
          )}
        </div>
      </details>
    </li>
  );
}

function Checks({
  report,
  trans
}: {
  report: IReport;
  trans: TranslationBundle;
}): React.JSX.Element {
  const words: Record<Outcome, string> = {
    passed: trans.__('passed'),
    failed: trans.__('not yet'),
    error: trans.__('could not be checked'),
    timeout: trans.__('took too long')
  };
  return (
    <>
      <ul className="mr-Checks">
        {report.checks.map(check => (
          <li key={check.name} data-state={check.outcome}>
            <strong>{words[check.outcome]}</strong> {check.title}
            {check.outcome !== 'passed' && check.observed && (
              <span className="mr-Observed">{check.observed}</span>
            )}
          </li>
        ))}
      </ul>
      <p className="mr-Quiet">{trans.__('Checked %1', new Date(report.time).toLocaleTimeString())}</p>
    </>
  );
}
