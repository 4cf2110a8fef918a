/** Kinds of replies, by their code (RFC 5321 section 4.2.1). */

export const isPositive = (reply: string) => reply.startsWith('2');
export const isIntermediate = (reply: string) => reply.startsWith('3');
/** RFC 5321 section 4.2.1: a reply that ends a command or may follow the final dot. */
export const isVerdict = (reply: string) => /^[245]\d{2}(?!\d)/.test(reply);
/** RFC 5321 section 3.8, RFC 7504 section 4: the server closes the connection and answers no further command. */
export const isGoodbye = (reply: string) => /^[45]21/.test(reply);
/** A reply to a body that may be about the envelope sent along with it. */
export const isOutOfTurn = (reply: string) => /^503|^5.*(?:pipelining|synchroni[sz]ation)/i.test(reply);
