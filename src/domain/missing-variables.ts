/** Finds variables that a campaign's letters need and none of its records has: no recipient without them could get a letter. */
import type { CampaignRow } from './campaign.ts';
import { placeVariables } from './campaign-email.ts';
import type { CompiledTemplate, TemplateFault } from './template.ts';

type MissingVariables = {
  /** Looks at one valid record. */
  see(row: CampaignRow): void;
  /** The variables that the first record's letter lacks and that no record has. */
  names(): string[];
};

/** @param letters when the template itself is faulty, nothing counts as missing */
export function openMissingVariables(
  letters: Pick<CompiledTemplate, 'weave'> | { readonly faults: readonly TemplateFault[] },
): MissingVariables {
  let missing: Set<string> | null = null;
  return {
    see(row) {
      // Only one letter is rendered: what other letters need depends on their conditions.
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
