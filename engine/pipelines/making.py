"""Models are made one at a time: libraries change torch for all threads meanwhile.

They set its default dtype, and let new modules have no weights (`accelerate.init_empty_weights`). Two that do
so at once leave torch changed for good.
"""

import threading

MAKING = threading.RLock()
