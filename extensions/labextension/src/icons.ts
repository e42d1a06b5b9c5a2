import { LabIcon } from '@jupyterlab/ui-components';

import boardSvg from '../style/board.svg';
import consoleSvg from '../style/console.svg';
import handSvg from '../style/hand.svg';
import machineSvg from '../style/machine.svg';
import pageSvg from '../style/page.svg';
import resetSvg from '../style/reset.svg';
import snapshotSvg from '../style/snapshot.svg';
import tasksSvg from '../style/tasks.svg';
import terminalSvg from '../style/terminal.svg';

export const boardIcon = new LabIcon({ name: 'machineroom:board', svgstr: boardSvg });
export const consoleIcon = new LabIcon({ name: 'machineroom:console', svgstr: consoleSvg });
export const handIcon = new LabIcon({ name: 'machineroom:hand', svgstr: handSvg });
export const machineIcon = new LabIcon({ name: 'machineroom:machine', svgstr: machineSvg });
export const pageIcon = new LabIcon({ name: 'machineroom:page', svgstr: pageSvg });
export const resetIcon = new LabIcon({ name: 'machineroom:reset', svgstr: resetSvg });
export const snapshotIcon = new LabIcon({ name: 'machineroom:snapshot', svgstr: snapshotSvg });
export const tasksIcon = new LabIcon({ name: 'machineroom:tasks', svgstr: tasksSvg });
export const terminalIcon = new LabIcon({ name: 'machineroom:terminal', svgstr: terminalSvg });
