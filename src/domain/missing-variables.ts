/** Which variables the letters of a campaign ask for and none of its records has: whoever lacks one could not be sent to. */
import type { CampaignRow } from './campaign.ts';
import { placeVariables } from './campaign-email.ts';
import type { CompiledTemplate, TemplateFault } from './template.ts';

export type MissingVariables = {
  /** Looks at a record that is valid. */
  see(row: CampaignRow): void;
  /** What the letter to the first record lacks, as it would be made, and no other brings. */
  names(): string[];
};

/** @param letters what is at fault as a whole asks for nothing */
export function openMissingVariables(
  letters: Pick<CompiledTemplate, 'weave'> | { readonly faults: readonly TemplateFault[] },
): MissingVariables {
  let missing: Set<string> | null = null;
  return {
    see(row) {
      // One letter alone is made: what others would ask for is a matter of their conditions.
      missing ??= 'faults' in letters ? new Set() : lackedBy(letters, row);
      for (const name of missing) if ((row.variables[name] ?? null) !== null) missing.delete(name);
    },
    names: () => [...(missing ?? [])],
  };
}

function lackedBy(letters: Pick<CompiledTemplate, 'weave'>, row: CampaignRow): Set<string> {
  const letter = letters.weave(placeVariables(row));
  const faults = 'faults' in letter ? letter.faults : [];
  const names = faults.flatMap(({ code, path: [part, name] }) =>
    code === 'missing_variable' && part === 'variables' && typeof name === 'string' ? [name] : [],
  );
  return new Set(names);
}
