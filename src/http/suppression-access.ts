/** Suppressions by what a caller names, an address or the id of one, and taking them off the list. */
import { suppressionIdForm } from '../domain/id.ts';
import { type Suppression, soughtForm } from '../domain/suppression.ts';
import type { Suppressions } from '../store/suppressions.ts';

/** @param sought an address, or the id of one of its suppressions */
export async function seekSuppressions(
  suppressions: Pick<Suppressions, 'get' | 'byId'>,
  sought: string,
): Promise<Suppression[]> {
  if (!suppressionIdForm.test(sought)) return suppressions.get(soughtForm(sought));
  const found = await suppressions.byId(sought);
  return found === null ? [] : [found];
}

export type RemovalDeps = {
  suppressions: Pick<Suppressions, 'remove'>;
  /** Somebody may get mail again: who took the address off the list. */
  reportUnsuppressed(removed: { suppression: Suppression; keyId: string }): void;
};

/** @returns whether any was there still */
export async function unsuppress(
  { suppressions, reportUnsuppressed }: RemovalDeps,
  found: readonly Suppression[],
  keyId: string,
): Promise<boolean> {
  let wasThere = false;
  for (const suppression of found) {
    if (!(await suppressions.remove(suppression))) continue;
    wasThere = true;
    reportUnsuppressed({ suppression, keyId });
  }
  return wasThere;
}
