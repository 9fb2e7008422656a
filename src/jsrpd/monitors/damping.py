"""Rise and fall: a verdict changes only after so many findings in a row that contradict it."""


class Damper:
    """One object's verdict. It is well until ``fall`` bad findings came in a row, then failed until ``rise`` good ones."""

    def __init__(self, rise: int, fall: int) -> None:
        self.rise, self.fall = rise, fall
        self.failed = False
        self.contradictions = 0

    def find(self, well: bool) -> bool:
        """Take a finding; True when the verdict changed."""
        if well is not self.failed:
            self.contradictions = 0
            return False
        self.contradictions += 1
        if self.contradictions < (self.rise if self.failed else self.fall):
            return False
        self.failed = not self.failed
        self.contradictions = 0
        return True
