import { LabIcon } from '@jupyterlab/ui-components';

import pageSvg from '../style/page.svg';
import resetSvg from '../style/reset.svg';
import terminalSvg from '../style/terminal.svg';

export const terminalIcon = new LabIcon({ name: 'machineroom:terminal', svgstr: terminalSvg });
export const pageIcon = new LabIcon({ name: 'machineroom:page', svgstr: pageSvg });
export const resetIcon = new LabIcon({ name: 'machineroom:reset', svgstr: resetSvg });
