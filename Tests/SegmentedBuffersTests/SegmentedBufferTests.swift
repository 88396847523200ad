import Mallow
import Testing
