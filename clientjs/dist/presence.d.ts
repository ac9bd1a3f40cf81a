/** Somebody who is in a room: a session of the server. */
export interface Member {
    /** The connectionID, see `client.id`. */
    id: string;
    /** Whose session it is, of several maybe. */
    user?: string;
    /** What the server's program says of it. */
    info?: any;
    /** Its connection is lost, and it may come back. */
    away?: boolean;
}
/** Who is in a room, and what has changed since the callback for that room before. Lists are sorted by id. */
export interface Presence {
    room: string;
    /** All that are there, oneself and those that are away included. */
    members: Member[];
    count: number;
    /** The room is too large to be listed: count is all that is known. */
    counted: boolean;
    /** The room was not listed before: nobody has joined, and members is who is there. */
    first: boolean;
    joined: Member[];
    /** As they were. */
    left: Member[];
    /** Whose user or info is another. */
    updated: Member[];
    /** Whose connection was lost. */
    away: Member[];
    /** Who were away. */
    back: Member[];
}
/** The event of frames that say who is there. */
export declare const PRESENCE = "presence";
/** Who is in the rooms that a client is in, as far as it has been told. */
export declare function newRooms(): {
    members(room: string): Member[] | undefined;
    /** A room is left: what still comes is from before, until forget is called. */
    leave(room: string): void;
    forget(room: string): void;
    forgetAll(): void;
    /** Takes the payload of a frame. It returns what is new; undefined: nothing. It throws for what is none. */
    take({ room, full, join, leave, away, back, count }: any): Presence | undefined;
};
