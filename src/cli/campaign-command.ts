/** Commands that the user is told to type next, quoted for a shell. */
import type { Given } from './campaign-options.ts';

/** Options that describe a new campaign. */
export const newCampaignOptions = ['template', 'from', 'subject', 'name', 'rate', 'route', 'at'] as const;

function campaignCommand(...words: readonly string[]): string {
  return ['npm run cli -- campaign', ...words.map(quoted)].join(' ');
}

/** The command that continues with a campaign. It never repeats a key, as no secret is repeated. */
export function continueCommand(given: Given, list: string, id: string): string {
  return campaignCommand('send', list, '--campaign', id, ...optionsOf({ url: given.url }), ...flagsOf(given));
}

/** The command as it was called. */
export function repeatCommand(given: Given, list: string): string {
  const ofThis = Object.fromEntries(newCampaignOptions.map((name) => [name, given[name]]));
  return campaignCommand('send', list, ...optionsOf({ ...ofThis, url: given.url }), ...flagsOf(given));
}

/** The command that gives up a campaign. */
export function cancelCommand({ url }: Given, id: string): string {
  return campaignCommand('cancel', id, ...optionsOf({ url }));
}

function optionsOf(given: Readonly<Record<string, string | undefined>>): string[] {
  return Object.entries(given).flatMap(([name, value]) => (value === undefined ? [] : [`--${name}`, value]));
}

function flagsOf(given: Given): string[] {
  return (['skip-invalid', 'watch'] as const).filter((name) => given[name]).map((name) => `--${name}`);
}

function quoted(word: string): string {
  return /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`;
}
