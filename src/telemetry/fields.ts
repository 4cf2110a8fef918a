/** Fields that several lines write alike. */

/** Ids in one line: a batch has up to a thousand, and log collectors cut long lines. */
export const maxIds = 100;
