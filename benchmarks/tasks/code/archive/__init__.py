"""The source of ogbg-code2's functions: streamed from OGB's archive, parsed in parallel, as graphs in a store."""
