import { boardPlugin } from './board';
import { commandsPlugin } from './commands';
import { helpPlugin } from './help';
import { launcherPlugin } from './launcher';
import { machinesPlugin } from './machines';
import { tasksPlugin } from './tasks';
import { terminalsPlugin } from './terminals';
import { workshopPlugin } from './workshop';

export default [
  boardPlugin,
  commandsPlugin,
  helpPlugin,
  launcherPlugin,
  machinesPlugin,
  tasksPlugin,
  terminalsPlugin,
  workshopPlugin
];
