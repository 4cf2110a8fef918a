/** `campaign` in the process of the test, where that it is one of its own says nothing more: it costs a tenth. */
import { runCampaign } from '../../src/cli/campaign.ts';

/** The exit code it would end with, and what it said, as src/cli.ts has them. */
export async function ranCampaign(...args: readonly string[]): Promise<[exit: number, said: string]> {
  let exit = 0;
  let text = '';
  for await (const said of runCampaign(args)) {
    text += 'text' in said ? said.text : `${said.fault}\n`;
    if ('fault' in said) exit = said.exit ?? 64;
  }
  return [exit, text];
}
