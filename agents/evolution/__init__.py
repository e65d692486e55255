"""Evolution: populations of policies, selected by the return of whole episodes."""
