import { commandsPlugin } from './commands';
import { launcherPlugin } from './launcher';
import { machinesPlugin } from './machines';
import { tasksPlugin } from './tasks';
import { terminalsPlugin } from './terminals';
import { workshopPlugin } from './workshop';

export default [commandsPlugin, launcherPlugin, machinesPlugin, tasksPlugin, terminalsPlugin, workshopPlugin];
