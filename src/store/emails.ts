/** Stored emails: created all or none, claimed for hand-over, changed only by a commit that also writes the events. `email-reads.ts` reads them. */
import type { Redis } from 'ioredis';
import { type Member, makeGroup } from '../concurrency/group.ts';
import type { Content, Files, HandOver, StoredEmail } from '../domain/email.ts';
import type { IdempotencyClaim } from '../domain/idempotency.ts';
import { letterOf, packContent } from './content.ts';
import { campaignKey, openCommit } from './email-commit.ts';
import { openCreate } from './email-create.ts';
import { indexSome } from './email-index.ts';
import { openEmailReads } from './email-reads.ts';
import { claimScript, fileArguments, keepFilesArguments, keepFilesKeys, keepFilesScript } from './email-scripts.ts';
import { keys } from './keys.ts';
import { type PriorClaim, readPriorClaim } from './prior-claims.ts';
import { areOnes } from './redis.ts';

export type Emails = ReturnType<typeof openEmails>;

export function openEmails(redis: Redis) {
  // Many emails are under way at the same time: their requests of one turn of the event loop are one command.
  const claim = makeGroup((members: readonly ClaimMember[]) => claimMembers(redis, members));

  return {
    ...openEmailReads(redis),
    create: openCreate(redis),
    ...openCommit(redis),

    /** The earlier result for an Idempotency-Key; null when the key is free. */
    async prior({ scope }: IdempotencyClaim): Promise<PriorClaim | null> {
      return readPriorClaim((await redis.get(keys.idempotency(scope))) ?? '');
    },

    /** Indexes some of the emails that are found by their status alone so far. @returns how many; 0 when there was none */
    indexSome: () => indexSome(redis),

    /** Stores fetched files, and replaces the content with URLs by one that refers to the files, unless the email changed meanwhile. */
    async keepFiles({ facts: { id }, version }: Loaded, content: Content, files: Files): Promise<void> {
      const stored = await redis.getBuffer(keys.content(id));
      if (stored === null) return;
      const own = keepFilesKeys.inOrder({ email: keys.email(id), content: keys.content(id), fileUses: keys.fileUses });
      const packed = await packContent(content, await letterOf(stored));
      const args = [...files].flatMap(([hash, bytes]) => fileArguments.inOrder({ hash, bytes }));
      await keepFilesScript(
        redis,
        [...own, ...[...files.keys()].map(keys.file)],
        [...keepFilesArguments.inOrder({ version, packed }), ...args],
      );
    },

    /** Marks that the body will leave now. False when the email changed, its campaign stopped or another hand-over is open: then do not send. */
    claimHandOver(email: StoredEmail, handOver: HandOver): Promise<boolean> {
      const names = [keys.email(email.facts.id), campaignKey(email)];
      return claim({ claim: email.facts.id, bytes: 0, names, args: [email.version, JSON.stringify(handOver)] });
    },
  };
}

/** Which email, and which version of it was loaded. */
type Loaded = Pick<StoredEmail, 'facts' | 'version'>;

type ClaimMember = Member & {
  readonly names: readonly string[];
  readonly args: readonly [version: number, handOver: string];
};

async function claimMembers(redis: Redis, members: readonly ClaimMember[]): Promise<boolean[]> {
  const names = members.flatMap((member) => member.names);
  return areOnes(
    await claimScript(
      redis,
      names,
      members.flatMap(({ args }) => args),
    ),
  );
}
