/** Which names of the environment are ours. */
import { settings } from '../../src/settings.ts';

/** Whether a variable is a setting, or the path of a file that holds one. */
export function isSetting(variable: string): boolean {
  const names = Object.keys(settings.shape);
  return names.includes(variable) || names.includes(variable.replace(/_FILE$/, ''));
}
