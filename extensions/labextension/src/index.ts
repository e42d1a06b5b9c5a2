import { commandsPlugin } from './commands';
import { launcherPlugin } from './launcher';
import { machinesPlugin } from './machines';

export default [commandsPlugin, launcherPlugin, machinesPlugin];
