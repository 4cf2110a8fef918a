/** Stored emails: created all or none, claimed for hand-over, changed only by a commit that also writes the events. `email-reads.ts` reads them. */
import type { Redis } from 'ioredis';
import { type Member, makeGroup } from '../concurrency/group.ts';
import { countOf } from '../domain/campaign.ts';
import {
  type Content,
  type EmailState,
  type Files,
  type HandOver,
  hasEnded,
  type StoredEmail,
  statusOf,
} from '../domain/email.ts';
import type { EmailEvent } from '../domain/event.ts';
import { nextDue } from '../domain/recipient.ts';
import type { Suppression } from '../domain/suppression.ts';
import type { TimelineStep } from '../domain/timeline.ts';
import { letterOf, packContent } from './content.ts';
import { type IdempotencyClaim, openCreate, type PriorClaim, readMet } from './email-create.ts';
import { indexSome, movedPosting } from './email-index.ts';
import { openEmailReads } from './email-reads.ts';
import { changeScript, claimScript, commitScript, keepFilesScript } from './email-scripts.ts';
import { packEnd } from './end.ts';
import { keys } from './keys.ts';
import { packEvent, packState, packStep } from './record.ts';
import { packSuppression } from './suppressions.ts';

export type Emails = ReturnType<typeof openEmails>;

export function openEmails(redis: Redis) {
  // Many emails are under way at the same time: their requests of one turn of the event loop are one command.
  const claim = makeGroup((members: readonly ClaimMember[]) => claimMembers(redis, members));
  const commit = makeGroup((members: readonly CommitMember[]) => commitMembers(redis, members));

  return {
    ...openEmailReads(redis),
    create: openCreate(redis),

    /** The earlier result for an Idempotency-Key; null when the key is free. */
    async prior({ scope }: IdempotencyClaim): Promise<PriorClaim | null> {
      return readMet((await redis.get(keys.idempotency(scope))) ?? '');
    },

    /** Indexes some of the emails that are found by their status alone so far. @returns how many; 0 when there was none */
    indexSome: () => indexSome(redis),

    /** Stores fetched files, and replaces the content with URLs by one that refers to the files, unless the email changed meanwhile. */
    async keepFiles({ facts: { id }, version }: Loaded, content: Content, files: Files): Promise<void> {
      const stored = await redis.getBuffer(keys.content(id));
      if (stored === null) return;
      const args = [version, await packContent(content, await letterOf(stored)), ...[...files].flat()];
      const names = [keys.email(id), keys.content(id), keys.fileUses, ...[...files.keys()].map(keys.file)];
      await keepFilesScript(redis, names, args);
    },

    /** Marks that the body will leave now. False when the email changed, its campaign stopped or another hand-over stands: then do not send. */
    claimHandOver(email: StoredEmail, handOver: HandOver): Promise<boolean> {
      const names = [keys.email(email.facts.id), campaignKey(email)];
      return claim({ claim: email.facts.id, bytes: 0, names, args: [email.version, JSON.stringify(handOver)] });
    },

    /**
     * Writes the new state, its events and a step of the timeline, clears the hand-over and marks when the email comes again, atomically.
     * False when the stored version changed, or another attempt is handing the email over.
     * @param attemptId id of the attempt that is settled; '' when nothing was handed over
     */
    commit(email: StoredEmail, after: Commit, attemptId: string, now: number): Promise<boolean> {
      const { id, lane } = email.facts;
      const args = [id, attemptId, nextDue(after.state) ?? '', ...commitArgs(email, after, now)];
      return commit({ claim: id, bytes: 0, names: [keys.email(id), keys.again(lane), campaignKey(email)], now, args });
    },

    /**
     * The same for a change that a caller asked for: also lost while a hand-over stands. An email that is due then goes to the queue again.
     * @param changeId distinguishes it from another change to the same state
     */
    async commitChange(email: StoredEmail, after: Commit, changeId: string, now: number): Promise<ChangeCommitted> {
      const { id, lane } = email.facts;
      const packed = after.content === undefined ? '' : await packContent(after.content);
      const own = [keys.email(id), keys.content(id), keys.due(lane), keys.again(lane), campaignKey(email)];
      const args = [changeId, id, nextDue(after.state) ?? '', ...commitArgs(email, after, now), packed];
      return (await changeScript(redis, [...committed, ...own], args)) as ChangeCommitted;
    },
  };
}

/** `content_gone`: the email would be due, but its content is gone. `campaign_canceled`: it would wait in a canceled campaign. */
export type ChangeCommitted = 'done' | 'lost' | 'content_gone' | 'campaign_canceled';

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

/** What a commit may write beside the email itself. */
export const committed = [
  keys.bell,
  keys.outbox,
  keys.emailIndex,
  keys.suppressions,
  keys.suppressionIds,
  keys.ended,
  keys.campaignsDue,
];

/** The key of the email's campaign; for an email without one its own key, which is then not written to as a campaign. */
function campaignKey({ facts: { id, campaignId } }: Pick<StoredEmail, 'facts'>): string {
  return campaignId === null ? keys.email(id) : keys.campaign(campaignId);
}

type CommitMember = Member & { readonly names: readonly string[]; readonly now: number; readonly args: CommitArgs };
type CommitArgs = readonly (string | number | Buffer)[];

async function commitMembers(redis: Redis, members: readonly CommitMember[]): Promise<boolean[]> {
  const names = [...committed, ...members.flatMap((member) => member.names)];
  const args = [members[0]?.now ?? 0, ...members.flatMap((member) => member.args)];
  return areOnes(await commitScript(redis, names, args));
}

function areOnes(answers: unknown): boolean[] {
  return (answers as number[]).map((answer) => answer === 1);
}

/** What a commit writes. */
export type Commit = {
  readonly state: EmailState;
  readonly events: readonly EmailEvent[];
  /** Null only counts a transport fault. */
  readonly step: TimelineStep | null;
  /** Suppressions to add. */
  readonly suppressions?: readonly Suppression[];
  /** Stored with a change if the email has no content any more. */
  readonly content?: Content;
};

/** The arguments that `commit` in email-scripts.ts takes. */
export function commitArgs(
  email: StoredEmail,
  { state, events, step, suppressions = [] }: Commit,
  now: number,
): CommitArgs {
  const [was, is] = movedPosting(email.facts.id, email.state, state) ?? ['', ''];
  const timeline = step === null ? '' : packStep(step);
  const packed = packState(state, email.facts);
  // Also when it had ended before: the end that was noted then is of another version, by which nothing is removed.
  const end = hasEnded(state) ? packEnd({ id: email.facts.id, at: now, version: email.version + 1 }) : '';
  const told = [...events.map(packEvent), ...suppressions.flatMap(packSuppression)];
  const counted = movedCount(email, state) ?? ['', ''];
  return [email.version, packed, timeline, was, is, end, now, ...counted, events.length, suppressions.length, ...told];
}

/** The counts of its campaign that it moves from and to; null when the count stays or it has no campaign. */
function movedCount({ facts, state: before }: StoredEmail, after: EmailState): readonly [string, string] | null {
  const [was, is] = [countOf(statusOf(before)), countOf(statusOf(after))];
  return facts.campaignId === null || was === is ? null : [`n:${was}`, `n:${is}`];
}
